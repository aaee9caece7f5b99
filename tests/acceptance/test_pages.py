"""What the README and the site's pages show works as it stands: files, specs, scripts, commands, in the order of reading.

A line that begins with "$ " is a transcript: what stands below it is what the command prints (transcripts.py). All pages
have one reader: one home, one folder, and what several pages show is run once. Launches of the README and those whose
output is shown are run whole, others with fewer trials and epochs; all train with --in-process: that training processes
do the same is the matter of test_launch. A report whose numbers took minutes is printed from the evidence that was kept.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from optselect.search.cli.commands.examples import EXAMPLES
from tests.support.commands import Shell, await_that, holds, query, shell, tell
from tests.support.debian_data import needs_fashion
from tests.support.forked import Ended, Forks
from tests.support.transcripts import difference

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 3
FIRST = ("README.md", "docs/quickstart.md", "docs/tutorials/sgd-to-adam.md")

ELSEWHERE: Mapping[str, str] = {
    "docs/engines.md": "engines are not here: tests/search/engines/test_slurm.py, tests/search/engines/test_kubernetes_job.py, make ray",
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
}
"""Beginnings of lines, each with the reason."""


@dataclass(frozen=True)
class Another:
    """A test that runs a command in place of this one."""

    reason: str
    file: str
    typed: str
    """What stands in that file: a regular expression."""


RUN_BY_OTHERS: Mapping[str, Another] = {
    "optselect db restore studies.tar": Another(
        "wants an empty database", "acceptance/test_db.py", r'run\(two, "db", "restore", "saved\.tar"\)'
    ),
    "optselect optimizers my_optimizers.py": Another(
        "imports TensorFlow anew",
        "acceptance/test_custom.py",
        r'json\("optimizers", f"\{path\}:MyMomentum"\)',
    ),
    "optselect worker --slots": Another(
        "stays until SIGTERM", "acceptance/test_fleet.py", r'start\(alone, "worker", "--slots", "1"'
    ),
    "optselect worker --trust": Another(
        "stays until SIGTERM", "acceptance/test_fleet.py", r'few = \("numbers", "--trust", "trusted\.txt"'
    ),
    "optselect ui patients": Another(
        "stays until Ctrl-C", "acceptance/test_launch.py", r'start\("ui", "diabetes", "--port"'
    ),
}
"""Beginnings of lines, each with the test that types the same, names of studies and files aside."""
KEPT = Path(__file__).with_name("kept")
"""What reports of long studies are printed from; record.py writes it."""


@dataclass(frozen=True)
class Line:
    """A command as a page shows it."""

    page: str
    text: str
    code: int = 0
    prints: str = ""
    """What the page shows below it, with ... for what is left out."""
    is_transcript: bool = False

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def is_launch(self) -> bool:
        return self.words[:2] == ["optselect", "launch"]

    @property
    def kept(self) -> Path:
        """What was kept of the study that it reports, if anything."""
        reports = self.prints and self.words[:2] == ["optselect", "report"]
        return KEPT / (f"{self.words[2]}.zip" if reports else "none")


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
    for language, text in blocks_of(page):
        if language:
            continue
        if text.startswith("$ "):
            yield from (typed(page, entry, True) for entry in text[2:].split("\n$ "))
            continue
        for line in text.splitlines():
            if re.match(r"(optselect|python3?|pip|make|docker|export|mkdir|chmod) ", line):
                yield typed(page, line)


def typed(page: str, text: str, is_transcript: bool = False) -> Line:
    """The line that is typed and what stands below it."""
    line, _, prints = text.partition("\n")
    code = re.search(r"# exit code (\d+)", line)
    return Line(page, re.split(r"\s+#|\s\|", line)[0], int(code[1]) if code else 0, prints, is_transcript)


def files_of(page: str) -> Iterator[tuple[str, str]]:
    """Blocks that name themselves in their first line."""
    for language, text in blocks_of(page):
        if language in ("python", "toml") and (name := re.match(r"# ([\w.]+)\n", text)):
            yield name[1], text


SHOWN = [line for page in pages() for line in lines_of(page)]
RUN = [
    line
    for place, line in enumerate(SHOWN)
    if (line.prints or line.text not in {earlier.text for earlier in SHOWN[:place]})
    and not line.text.startswith((*NOT_RUN, *RUN_BY_OTHERS))
]
FILES = [(page, *file) for page in pages() for file in files_of(page)]
LAUNCHED = " ".join(line.text for line in RUN)
ON_FASHION = re.compile(r"fashion|\brates\b")  # nothing else needs what these lines leave behind
FASHION = [needs_fashion, pytest.mark.slow]
STATEMENTS = [text for page in pages() for language, text in blocks_of(page) if language == "sql"]
DETACHED = [line.words[line.words.index("--name") + 1] for line in RUN if "--detach" in line.words]
OTHER_SPECS = [name for _, name, _ in FILES if name.endswith(".toml") and name not in LAUNCHED]
SNIPPETS = [
    (page, text)
    for page in pages()
    for language, text in blocks_of(page)
    if language == "python" and not re.match(r"# ([\w.]+)\n", text)
]


@pytest.fixture(scope="module")
def reader(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory, forked: Forks) -> Iterator[Shell]:
    """A shell in whose folder the pages' files were saved under the names that they give themselves.

    What they tell the server in SQL was told.
    """
    folder = tmp_path_factory.mktemp("reader")
    for _, name, text in FILES:
        (folder / name).write_text(text)
    reader = shell(acceptance_home, folder)
    assert forked.run(reader, "studies").returncode == 0
    for statement in STATEMENTS:
        tell(reader, statement)
    yield reader
    for study in DETACHED:
        forked.run(reader, "stop", study)


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
    for start in (*NOT_RUN, *RUN_BY_OTHERS):
        assert any(text.startswith(start) for text in shown), start


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_command_is_shown_with_what_it_prints_and_how_it_refuses(command: str) -> None:
    shown = [line for line in RUN if line.prints and f"{line.text} ".startswith(f"optselect {command} ")]
    elsewhere = any(start.startswith(f"optselect {command} ") for start in RUN_BY_OTHERS)
    assert elsewhere or [line for line in shown if line.code == 0]
    assert [line for line in shown if line.code]


@pytest.mark.parametrize("command", RUN_BY_OTHERS)
def test_what_is_left_to_another_test_is_typed_there(command: str) -> None:
    other = RUN_BY_OTHERS[command]
    assert re.search(other.typed, (ROOT / "tests" / other.file).read_text("utf-8"))


@pytest.mark.parametrize(
    "line",
    [pytest.param(line, marks=FASHION if ON_FASHION.search(line.text) else []) for line in RUN],
    ids=lambda line: f"{line.page}: {line.text}",
)
def test_every_command_of_the_pages_runs_and_prints_what_they_show(
    reader: Shell, forked: Forks, line: Line
) -> None:
    done = run(reader, forked, line)
    assert done.returncode == line.code, done.stderr
    if line.prints:
        folders = {str(reader.home): "~/.local/share/optselect", str(reader.folder): "~"}
        assert not difference(line.prints, done.stdout or done.stderr, folders, line.kept.exists())


def run(reader: Shell, forked: Forks, line: Line) -> Ended:
    words = line.words[1:]
    if line.words[0] == "python":
        return forked.run_script(reader, *words)
    if line.kept.exists():
        words[1:2] = ["--bundle", str(line.kept)]
    if line.is_launch and "--detach" not in words:
        words += [*shorter(line), "--in-process"]
    if words[0] == "resume":
        words += ["--workers", "0"]  # what it stores is trained by nobody
    done = forked.run(reader, *words)
    if "--detach" in words:  # what follows is typed by a person, who is slower
        await_that(lambda: all(holds(reader, SUPERVISED, study) for study in DETACHED), "a worker trains")
    return done


def shorter(line: Line) -> Sequence[str]:
    """A trial or two for each optimizer; fresh seeds only where the page goes on to all that a report can say."""
    if line.page == "README.md" or line.prints:
        return ()
    if line.is_transcript:
        return ("--epochs", str(EPOCHS), "--seeds", "0")  # of so many trials as the next transcript shows
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


SUPERVISED = """
    SELECT count(*) FROM optselect.launch l JOIN optselect.study s ON s.id = l.study_id
     WHERE name = %s AND external_id IS NOT NULL AND l.ended_at IS NULL
       AND EXISTS (SELECT FROM optselect.ticket t WHERE t.study_id = s.id AND t.epochs > 0)"""
CURVES = """
    SELECT t.optimizer, t.trial_number, t.params, (SELECT array_agg((metrics ->> 'optimizer_phase')::float8 ORDER BY epoch)
                                     FROM optselect.epoch_log WHERE ticket_id = t.id)
      FROM optselect.ticket t JOIN optselect.study s ON s.id = study_id
     WHERE name = %s AND t.state = 'done'"""
