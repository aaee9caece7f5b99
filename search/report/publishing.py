"""What does MLflow get of a verdict? The page, the JSON and the data of each figure, once the study is finished."""

from typing import TYPE_CHECKING

from optselect.search.documents import Verdict, document_text
from optselect.search.spec.stored import unchecked_spec
from optselect.storage.records.curves import read_metric
from optselect.storage.records.studies import load_study
from optselect.storage.tracking.flusher import Connected
from optselect.storage.tracking.verdict_run import publish_verdict

if TYPE_CHECKING:
    from optselect.search.verdict.findings import Findings
    from optselect.search.verdict.insight import Curves


def publish(connected: Connected) -> str | None:
    """Send a finished study's verdict, in place of what was sent before; returns its run, None where there is none."""
    # SciPy, Plotly and Optuna cost two seconds, which a study that goes on need not pay.
    study = load_study(connected.engine, connected.study.name)
    if study.state != "finished" or not unchecked_spec(study).compares:
        return None
    from optselect.search.verdict.findings import NoVerdict, stored_findings

    found = stored_findings(connected.engine, study)
    if isinstance(found, NoVerdict):
        return None
    from optselect.search.report.verdict_page import verdict_json

    answer = verdict_json(found)
    facts = {"outcome": answer["outcome"], "keep": answer["keep"], "code": answer["code"]}
    files = artifacts(found, answer, read_metric(connected.engine, study.id, study.objective))
    return publish_verdict(connected, answer["answer"], files, facts)


def artifacts(found: "Findings", answer: Verdict, curves: "Curves") -> dict[str, str]:
    """The text of each file: figures as Plotly's JSON, for all of them stand in the page itself."""
    from optselect.search.report.html_page import Page

    page = Page.of(found, curves)
    return {
        "report.html": page.html(),
        "report.json": document_text(answer),
        "optimizer.py": f"{answer['code']}\n",
        **{f"plots/{chart.key}.json": chart.figure.to_json() for chart in page.charts},
    }
