"""What the README and the site's pages show works as it stands: files, specs, scripts, commands, in the order of reading.

All pages have one reader: one home, one folder, and what several pages show is run once. Launches of the README are run
whole, those of other pages with fewer trials and epochs; all train with --in-process: that training processes do the
same is the matter of test_launch.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.acceptance.commands import Shell, query, shell
from tests.acceptance.forked import Ended, Forks
from tests.trials.debian_data import needs_fashion

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 3
FIRST = ("README.md", "docs/quickstart.md", "docs/tutorials/sgd-to-adam.md")

ELSEWHERE: Mapping[str, str] = {
    "docs/engines.md": "engines are not here: tests/search/test_slurm.py, tests/search/test_kubernetes_job.py, make ray",
    "docs/slurm-for-real.md": "what came of tests/deploy/slurm_for_real.sh, which types it",
    "docs/optuna-tools.md": "Optuna's own programs: tests/acceptance/test_launch.py",
}
"""Pages whose commands other tests run."""
NOT_RUN: Mapping[str, str] = {
    "pip install": ".ci/run does it",
    "python3 -m venv": ".ci/run does it",
    "make bench-": "a quarter of an hour each",
    "python -m benchmarks": "minutes each",
    "mkdir -m 700 secrets": "for containers: tests/deploy/compose_for_real.sh",
    "chmod 644 secrets": "for containers: tests/deploy/compose_for_real.sh",
    "docker compose": "needs an engine: tests/deploy/compose_for_real.sh",
    "export": "names a server that is not here",
    "optselect db grant": "needs a role of the server: tests/service/test_roles.py",
    "optselect db restore": "wants an empty database: tests/acceptance/test_db.py",
    "optselect check": "imports TensorFlow anew: tests/acceptance/test_before.py",
    "optselect plan": "imports TensorFlow anew: tests/acceptance/test_before.py",
    "optselect optimizers my_optimizers.py": "imports TensorFlow anew: tests/acceptance/test_custom.py",
    "optselect resume": "starts training processes: tests/acceptance/test_kills.py",
    "optselect launch cancer.py --name cancer-fleet --workers 0": "tests/acceptance/test_fleet.py",
    "optselect launch diabetes --workers 0": "trained by containers: tests/deploy/compose_for_real.sh",
    "optselect worker": "stays until SIGTERM: tests/acceptance/test_fleet.py",
    "optselect ui": "stays until Ctrl-C: tests/acceptance/test_launch.py",
}
"""Beginnings of lines, each with the reason and who runs it instead."""


@dataclass(frozen=True)
class Line:
    """A command as a page shows it."""

    page: str
    text: str
    code: int = 0
    says: str = ""
    """What a refusal says, with ... for what is left out."""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def is_launch(self) -> bool:
        return self.words[:2] == ["optselect", "launch"]


def pages() -> list[str]:
    """In the order of reading: what a page names, an earlier one may have launched."""
    there = [str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md"))]
    return [*FIRST, *(page for page in there if page not in FIRST and page not in ELSEWHERE)]


def blocks_of(page: str) -> list[tuple[str, str]]:
    text = (ROOT / page).read_text("utf-8")
    found: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


def lines_of(page: str) -> Iterator[Line]:
    """What a person types, without remarks and what a shell does with the output."""
    for (language, text), (_, following) in pairwise([*blocks_of(page), ("", "")]):
        for line in () if language else text.splitlines():
            if re.match(r"(optselect|python3?|pip|make|docker|export|mkdir|chmod) ", line):
                typed = re.split(r"\s+#|\s\|", line)[0]
                code = re.search(r"# exit code (\d+)", line)
                yield Line(page, typed, int(code[1]), following) if code else Line(page, typed)


def files_of(page: str) -> Iterator[tuple[str, str]]:
    """Blocks that name themselves in their first line."""
    for language, text in blocks_of(page):
        if language in ("python", "toml") and (name := re.match(r"# ([\w.]+)\n", text)):
            yield name[1], text


SHOWN = [line for page in pages() for line in lines_of(page)]
RUN = [
    line
    for place, line in enumerate(SHOWN)
    if line.text not in {earlier.text for earlier in SHOWN[:place]}
    and not line.text.startswith(tuple(NOT_RUN))
]
FILES = [(page, *file) for page in pages() for file in files_of(page)]
LAUNCHED = " ".join(line.text for line in RUN)
ON_FASHION = re.compile(r"fashion|\brates\b")  # needs a package of Debian
OTHER_SPECS = [name for _, name, _ in FILES if name.endswith(".toml") and name not in LAUNCHED]
SNIPPETS = [
    (page, text)
    for page in pages()
    for language, text in blocks_of(page)
    if language == "python" and not re.match(r"# ([\w.]+)\n", text)
]


@pytest.fixture(scope="module")
def reader(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in whose folder the pages' files were saved under the names that they give themselves."""
    folder = tmp_path_factory.mktemp("reader")
    for _, name, text in FILES:
        (folder / name).write_text(text)
    return shell(acceptance_home, folder)


def test_no_two_pages_show_different_files_of_one_name() -> None:
    assert len({name for _, name, _ in FILES}) == len({(name, text) for _, name, text in FILES})


@pytest.mark.parametrize("page", pages())
def test_every_spec_of_a_page_has_a_name_under_which_it_is_run(page: str) -> None:
    specs = [text for language, text in blocks_of(page) if language == "toml"]
    assert len(specs) == len([name for name, _ in files_of(page) if name.endswith(".toml")])


def test_every_file_of_a_page_is_used_by_a_command_or_a_spec() -> None:
    used = " ".join([LAUNCHED, *(text for _, name, text in FILES if name.endswith(".toml"))])
    assert not [name for _, name, _ in FILES if name.endswith(".py") and name not in used]


def test_what_is_not_run_is_shown_somewhere() -> None:
    shown = [line.text for line in SHOWN]
    assert not [start for start in NOT_RUN if not any(text.startswith(start) for text in shown)]


@pytest.mark.parametrize(
    "line",
    [pytest.param(line, marks=[needs_fashion] if ON_FASHION.search(line.text) else []) for line in RUN],
    ids=lambda line: f"{line.page}: {line.text}",
)
def test_every_command_of_the_pages_runs(reader: Shell, forked: Forks, line: Line) -> None:
    done = run(reader, forked, line)
    assert done.returncode == line.code, done.stderr
    assert all(part.strip() in done.stderr for part in re.split(r"\.{3}|\n", line.says))


def run(reader: Shell, forked: Forks, line: Line) -> Ended:
    if line.words[0] == "python":
        return forked.run_script(reader, *line.words[1:])
    if not line.is_launch:
        return forked.run(reader, *line.words[1:])
    return forked.run(reader, *line.words[1:], *shorter(line), "--in-process")


def shorter(line: Line) -> Sequence[str]:
    """A trial or two for each optimizer; fresh seeds only where the page goes on to all that a report can say."""
    if line.page == "README.md":
        return ()
    trials = ("--trials", "6" if "switch" in line.text else "3", "--epochs", str(EPOCHS))
    return trials if line.page == "docs/quickstart.md" else (*trials, "--seeds", "0")


@pytest.mark.parametrize("name", OTHER_SPECS)
def test_every_spec_of_the_pages_is_launched(reader: Shell, forked: Forks, name: str) -> None:
    done = run(reader, forked, Line("", f"optselect launch --spec {name}"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("page", "snippet"), SNIPPETS)
def test_every_snippet_of_the_pages_runs(reader: Shell, forked: Forks, page: str, snippet: str) -> None:
    (reader.folder / "snippet.py").write_text(snippet)
    done = forked.run_script(reader, "snippet.py")
    assert done.returncode == 0, done.stderr


# --- what came of them ------------------------------------------------------------------------------------------------


def test_a_study_of_the_readme_is_shown_as_a_file_that_launches_the_very_same(
    reader: Shell, forked: Forks
) -> None:
    (reader.folder / "printed.toml").write_text(forked.run(reader, "show", "cancer-narrow").stdout)
    again = forked.run(reader, "launch", "--spec", "printed.toml")
    assert again.returncode == 0, again.stderr
    assert "6 of 6 trials" in again.stdout


def test_reading_commands_of_the_readme_know_its_study(reader: Shell, forked: Forks) -> None:
    for command in ("status", "trials", "show"):
        assert forked.run(reader, command, "cancer").returncode == 0
    assert "keras.optimizers.Adam" in forked.run(reader, "show", "cancer", "3").stdout


def test_each_epoch_of_a_switch_says_which_optimizer_trained_it(reader: Shell, forked: Forks) -> None:
    rows = [row for row in query(reader, CURVES, "sgd-then-adam") if row[0] == "SGD_to_Adam"]
    assert len(rows) == 2
    for _, number, params, phases in rows:
        before = params["switch_epoch"]
        assert phases == [1.0] * before + [2.0] * (EPOCHS - before)
        assert "# from epoch" in forked.run(reader, "show", "sgd-then-adam", str(number)).stdout


CURVES = """
    SELECT t.optimizer, t.trial_number, t.params, (SELECT array_agg((metrics ->> 'optimizer_phase')::float8 ORDER BY epoch)
                                     FROM optselect.epoch_log WHERE ticket_id = t.id)
      FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id WHERE name = %s"""
