"""What do check and plan print?"""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from optselect.search.cli.terminal import print_document, stdout_console
from optselect.search.context import Context
from optselect.search.describing.checking import Checked, checks
from optselect.search.documents import SCHEMA, Checks
from optselect.search.exit_codes import UserExit
from optselect.search.names import study_name
from optselect.search.spec.study_spec import Request
from optselect.trials.terms.bundled import resolve_problem


def check(request: Request, typed: str, context: Context) -> int:
    """Print each line as soon as it is known; returns the exit code of the first failure.

    Args:
        typed: how the problem was named, for the next command.
    """
    found = []
    out = stdout_console()
    for line in checks(request, context):
        found.append(line)
        if not context.as_json:
            out.print(row_of(line))
    bad = [line for line in found if not line.is_ok]
    if context.as_json:
        print_document(checks_json(request.problem, found))
    elif not bad:
        out.print(f"\nnext: optselect plan {typed}", soft_wrap=True)
    if not bad:
        return UserExit.DONE
    return UserExit.UNREACHABLE if bad[0].is_away else UserExit.INVALID


def row_of(line: Checked) -> Table:
    """One line, folded below its own beginning where the terminal is narrow."""
    mark = Text("ok", style="green") if line.is_ok else Text("FAIL", style="bold red")
    mark = Text("note", style="yellow") if line.is_note else mark
    row = Table.grid(padding=(0, 1))
    row.add_column(width=4)
    row.add_column(min_width=14, no_wrap=True)
    row.add_row(mark, Text(line.name), Text(line.detail))
    return row


def checks_json(problem: str, lines: Sequence[Checked]) -> Checks:
    return {
        "schema": SCHEMA,
        "problem": problem,
        "is_ok": all(line.is_ok for line in lines),
        "checks": [{"name": line.name, "is_ok": line.is_ok, "detail": line.detail} for line in lines],
    }


def plan(request: Request, typed: str, name: str | None, workers: int | None, context: Context) -> None:
    """Print what a launch would do and cost; stores nothing. `typed` as for check."""
    from optselect.search.describing.forecasting import foresee
    from optselect.search.status.forecast import forecast_json, forecast_page  # SciPy costs half a second

    study, forecast = study_name(name, resolve_problem(request.problem)), foresee(request, workers, context)
    if context.as_json:
        print_document(forecast_json(study, forecast))
        return
    out = stdout_console()
    out.print(forecast_page(study, forecast))
    out.print(f"\nnext: optselect launch {typed}", soft_wrap=True)
