"""The printed MLflow link shows every trial's curve, in a real browser on the real server."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.commands import Shell, shell

TRIALS, RUNS = 24, 25  # and the baseline
CHROMIUM = shutil.which("chromium")
COMPLETE = os.environ.get("OPTSELECT_TESTS") == "complete"  # then a missing package is a failure, not a skip
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not COMPLETE, reason="needs Debian's package chromium"
)
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1700,3000 --virtual-time-budget=60000"
)


@pytest.fixture(scope="module")
def here(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return shell(acceptance_home, tmp_path_factory.mktemp("ui"))


@pytest.fixture(scope="module")
def link(here: Shell) -> Iterator[str]:
    flags = (
        "--name",
        "shown",
        "--optimizers",
        "sgd,adam",
        "--trials",
        str(TRIALS),
        "--epochs",
        "2",
        "--workers",
        "2",
    )
    launched = here.run("launch", "diabetes", *flags)
    assert launched.returncode == 0, launched.stderr
    server = here.start("ui", "shown", "--port", "5123")
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.send_signal(signal.SIGINT)
    server.wait(30)
    assert not list(here.home.glob("mlflow-server.json"))


def page(link: str) -> str:
    """The page as a browser has built it."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        command = [CHROMIUM, *QUIET.split(), f"--user-data-dir={profile}", "--dump-dom", link]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@needs_chromium
def test_the_link_shows_every_curve_on_the_chart_of_val_loss(here: Shell, link: str) -> None:
    status = here.json("status", "shown")
    assert status["tracking"] == link
    shown = page(link)
    assert f"{RUNS} of {RUNS} runs done" in shown
    assert len(curves(shown, "val_loss")) >= RUNS  # MLflow draws each twice; ten visible runs would be 20
    for trial in here.json("trials", "shown")["trials"]:
        assert re.search(rf"\b{trial['trial']:03d} {trial['optimizer'].lower()}\b", shown)


def curves(shown: str, metric: str) -> list[str]:
    """The drawn lines of one chart: Plotly draws each as a path of class js-line."""
    _, _, chart = shown.partition(f'title="{metric}"')
    _, _, layer = chart.partition("scatterlayer")
    layer, _, _ = layer.partition('class="overplot"')
    return re.findall(r'class="js-line"[^>]*? d="(M[^"]+L[^"]+)"', layer)
