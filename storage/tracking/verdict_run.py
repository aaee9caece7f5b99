"""How does MLflow show a study's verdict? As one more run of its experiment, which holds files and no curves.

There is one such run, found again by its tag and written anew: a study that goes on has a new verdict.
"""

import logging
import os
import re
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from optselect.storage.server.home import default_home
from optselect.storage.server.own_files import close_all
from optselect.storage.tracking.chart_views import COLOUR, VERDICT_COLOUR
from optselect.storage.tracking.experiment import LOCK_EXPERIMENT, NOTE
from optselect.storage.tracking.flusher import Connected

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

NAME = "verdict"
PHASE = "optselect.phase"


def publish_verdict(
    connected: Connected, answer: str, files: Mapping[str, str], facts: Mapping[str, str]
) -> str:
    """Write or replace the run of the verdict, and put the answer above the experiment; returns the run's id.

    Args:
        files: the text of each artifact, by its path.
        facts: tags of the run, without our prefix.
    """
    client = connected.client
    # Of two machines that end a study together one makes the run.
    with connected.engine.begin() as connection:
        connection.execute(LOCK_EXPERIMENT, {"study": connected.study.id})
        run_id = find_or_create(client, connected)
    if is_place_of_a_run(client.get_run(run_id).info.artifact_uri or ""):
        for path, content in files.items():
            client.log_text(run_id, content, path)
    else:
        log.warning("the verdict's files stay out of MLflow: its artifacts lie in no folder of a run")
    for name, value in {**facts, "study": connected.study.name}.items():
        client.set_tag(run_id, f"optselect.{name}", value)
    close_all(default_home(os.environ) / "artifacts" / str(connected.study.id))  # MLflow goes by the umask
    client.set_tag(run_id, NOTE, answer)
    client.set_terminated(run_id, "FINISHED")
    connected.tell(answer)
    return run_id


def is_place_of_a_run(location: str) -> bool:
    """Whether files may be written there. MLflow's rows may name any folder of this machine, and a file optimizer.py may
    be a module there: only one that is called as MLflow calls a run's is written into.

    >>> is_place_of_a_run("mlflow-artifacts:/1/0a/artifacts"), is_place_of_a_run("file:///home/me")
    (True, False)
    """
    parts = urllib.parse.urlsplit(location)
    if parts.scheme not in ("", "file", "local"):
        return True
    return re.search(r"/[0-9a-f]{32}/artifacts/?$", parts.path) is not None


def find_or_create(client: "MlflowClient", connected: Connected) -> str:
    """The run of the verdict; what is deleted in MLflow's pages is made anew."""
    wanted = f"tags.`{PHASE}` = '{NAME}'"
    found = client.search_runs([connected.experiment_id], wanted, max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {PHASE: NAME, COLOUR: VERDICT_COLOUR}
    return str(client.create_run(connected.experiment_id, tags=tags, run_name=NAME).info.run_id)
