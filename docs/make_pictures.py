"""How do the README's pictures come about? From a real study: python docs/make_pictures.py

Needs Debian's chromium and an installed optselect. Launches a study of 24 trials in a home of its own, takes the
terminal while it runs and at its end, the report's page and MLflow's, and writes docs/pictures/live.png, terminal.png,
report.png and mlflow.png.
"""

import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

PICTURES = Path(__file__).resolve().parent / "pictures"
COMMAND = [sys.executable, "-m", "optselect"]
LAUNCH = ["launch", "digits", "--optimizers", "sgd,rmsprop,adam,adamw,lion,adagrad", "--trials", "24"]
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=60000"
)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="optselect-") as name:
        Path(name).chmod(0o755)  # as root the server's own account must get in
        environment = {
            **os.environ,
            "OPTSELECT_HOME": f"{name}/home",
            "COLUMNS": "84",
            "TERM": "xterm-256color",
        }
        output = typed(environment)
        picture_of_terminal(live_screen(output), Path(name), PICTURES / "live.png")
        picture_of_terminal(last_screen(output), Path(name), PICTURES / "terminal.png")
        page = Path(name) / "report.html"
        subprocess.run([*COMMAND, "report", "digits", "--html", str(page)], env=environment, check=True)
        screenshot(page.as_uri(), PICTURES / "report.png", "1200,1500", "--force-device-scale-factor=0.8")
        with served(environment) as link:
            screenshot(link, PICTURES / "mlflow.png", "1700,1700", "--force-device-scale-factor=0.7")
        subprocess.run([*COMMAND, "db", "stop"], env=environment, check=True)


def typed(environment: dict[str, str]) -> str:
    """Everything that a terminal receives from the launch, escape sequences included."""
    received: list[bytes] = []

    def read(terminal: int) -> bytes:
        received.append(os.read(terminal, 65536))
        return received[-1]

    os.environ.update(environment)
    pty.spawn([*COMMAND, *LAUNCH], read)
    return b"".join(received).decode()


def live_screen(output: str) -> str:
    """The live table when most of the search is done: each drawing begins by erasing the one before, line by line."""
    drawn = re.split("(?:\r|\x1b\\[1A|\x1b\\[2K)+", output.replace("\r\n", "\n"))
    ended = {
        int(found[1]): drawing
        for drawing in drawn
        if (found := re.search(r"(\d+) of 24 trials, \d+ running", drawing))
    }
    return f"$ optselect {' '.join(LAUNCH)}\n{ended[max(ended)]}"


def last_screen(output: str) -> str:
    """What stays on the screen: the live table was redrawn in place and erased before the summary."""
    head, _, _ = output.partition("\x1b[?25l")
    _, _, tail = output.rpartition("\x1b[?25h")
    return f"$ optselect {' '.join(LAUNCH)}\n{head}{tail.rpartition(chr(27) + '[2K')[2]}".replace("\r", "")


def picture_of_terminal(screen: str, folder: Path, picture: Path) -> None:
    """Render through rich's own terminal window and a browser."""
    lines = [line for line in screen.splitlines() if "logs in" not in line]
    console = Console(record=True, width=84, file=(folder / "unused").open("w"))
    console.print(Text.from_ansi("\n".join(lines)))
    (folder / "terminal.svg").write_text(console.export_svg(title="optselect"))
    height = 60 + 24 * len(lines)
    (folder / "terminal.html").write_text(
        '<body style="margin:0"><img src="terminal.svg" width="1000"></body>'
    )
    screenshot((folder / "terminal.html").as_uri(), picture, f"1000,{height}")


@contextlib.contextmanager
def served(environment: dict[str, str]) -> Iterator[str]:
    """The link that `optselect ui` prints, while its server runs."""
    with subprocess.Popen(
        [*COMMAND, "ui", "digits"], env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


def screenshot(address: str, file: Path, size: str, *more: str) -> None:
    chromium = shutil.which("chromium") or sys.exit("Debian's package chromium is needed.")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            str(chromium),
            *CHROMIUM.split(),
            f"--user-data-dir={profile}",
            f"--window-size={size}",
            *more,
        ]
        subprocess.run(
            [*command, f"--screenshot={file}", address], check=True, capture_output=True, timeout=120
        )
    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(128)  # enough colours, and the repository stays small
    small.save(file, optimize=True)
    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
