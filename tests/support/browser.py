"""A real browser, for what a person would see of MLflow's page."""

import os
import re
import shutil
import subprocess
import tempfile

import pytest

CHROMIUM = shutil.which("chromium")
COMPLETE = os.environ.get("OPTSELECT_TESTS") == "complete"  # then a missing package is a failure, not a skip
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not COMPLETE, reason="needs Debian's package chromium"
)
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1700,3000 --virtual-time-budget=60000"
)


def page_of(link: str) -> str:
    """The page as a browser has built it."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        command = [CHROMIUM, *QUIET.split(), f"--user-data-dir={profile}", "--dump-dom", link]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def curves(shown: str, metric: str) -> list[str]:
    """The drawn lines of one chart: Plotly draws each as a path of class js-line."""
    _, _, chart = shown.partition(f'title="{metric}"')
    _, _, layer = chart.partition("scatterlayer")
    layer, _, _ = layer.partition('class="overplot"')
    return re.findall(r'class="js-line"[^>]*? d="(M[^"]+L[^"]+)"', layer)
