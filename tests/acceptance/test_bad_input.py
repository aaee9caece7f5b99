"""Bad input never hurts: one line that says what must hold, what came and what to do; nothing is left behind."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from optselect.storage.server import embedded
from tests.support.commands import Shell, query, shell
from tests.support.forked import Forks
from tests.support.homes import small_file_system, throw_away_home

PASSWORD = "s3cret-passw0rd"

GOOD = """
import numpy as np

def model():
    import keras
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    net.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    return net

def data():
    x = np.linspace(0.0, 1.0, 60).reshape(20, 3)
    return (x, x.sum(axis=1)), (x, x.sum(axis=1))
"""


def problem(old: str, new: str) -> str:
    """The good problem with one thing spoilt."""
    assert old in GOOD
    return GOOD.replace(old, new)


@dataclass(frozen=True)
class Case:
    """What is typed, and what must come back."""

    name: str
    arguments: str
    """Parted at blanks; {server} is the address of the running server, {new} a fresh database's."""
    code: int
    words: str  # a regular expression that the line must contain
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def spoilt(name: str, words: str, source: str) -> Case:
    return Case(name, "launch bad.py --trials 1 --in-process", 2, words, {"bad.py": source})


def flags(name: str, arguments: str, words: str, code: int = 2) -> Case:
    return Case(name, arguments, code, words, {"good.py": GOOD})


def spec(name: str, text: str, words: str) -> Case:
    return Case(name, "launch good.py --spec study.toml", 2, words, {"good.py": GOOD, "study.toml": text})


CASES = [
    # the problem file
    Case("missing file", "launch nowhere.py", 2, "no problem file 'nowhere.py'"),
    Case("mistyped bundled name", "launch diabetis", 2, "Did you mean diabetes"),
    Case("a folder", "launch .", 2, "one Python file"),
    spoilt("syntax error", r"bad\.py.*line 1", "def model(:\n"),
    spoilt("not text", r"bad\.py", "\0\0"),
    spoilt("no data", r"data\(\)", problem("def data", "def date")),
    spoilt("no model", r"model\(\)", problem("def model", "def modell")),
    spoilt("raising on import", r"ValueError: no luck \(bad\.py, line 1\)", "raise ValueError('no luck')\n"),
    spoilt("leaving on import", r"bad\.py", "import sys\nsys.exit(3)\n"),
    spoilt("importing what is not there", "ModuleNotFoundError.*nowhere", "import nowhere\n"),
    spoilt("raising in data", r"KeyError.*bad\.py, line 11", problem("    x = np", "    {}['k']\n    x = np")),
    spoilt("model gives None", "model\\(\\)", problem("    return net", "    return None")),
    spoilt("model is not compiled", "compile", problem('    net.compile(optimizer="sgd", loss="mse", run_eagerly=True)\n', "")),
    spoilt("model does not match its data", r"bad\.py", problem("Input((3,))", "Input((7,))")),
    spoilt("empty data", "empty|at least one row|no rows", problem("return (x, x.sum(axis=1)), (x", "return (x[:0], x[:0]), (x")),
    spoilt("NaN in the data", "NaN|finite", problem("    return (x, x", "    x[3, 1] = np.nan\n    return (x, x")),
    spoilt("lengths that differ", "20.*19|19.*20", problem("return (x, x.sum(axis=1))", "return (x, x.sum(axis=1)[:-1])")),
    spoilt("a generator", "PyDataset|tf\\.data", problem("return (x, x.sum(axis=1))", "return ((b for b in [x]))")),
    spoilt("data is one thing", "train, validation", problem("    return (x, x.sum(axis=1)), (x, x.sum(axis=1))", "    return x")),
    spoilt("fit is no dictionary", "fit", GOOD + "\nfit = 20\n"),
    spoilt("fit holds what data gives", "validation_data", GOOD + "\nfit = {'validation_data': 1}\n"),
    spoilt("fit holds an unknown argument", "epoch", GOOD + "\nfit = {'epoch': 3}\n"),
    spoilt("fit has no epochs to train", "epochs", GOOD + "\nfit = {'epochs': 0}\n"),
    # the same by way of the child process that describes a problem
    Case("raising in a child", "launch bad.py", 2, r"no luck \(bad\.py, line 1\)", {"bad.py": "raise ValueError('no luck')\n"}),
    Case("killing its child", "launch bad.py", 2, "ended with code", {"bad.py": "import os\nos._exit(7)\n"}),
    # flags
    flags("unknown optimizer", "launch good.py --optimizers sgd,adm", 'Did you mean "adam"'),
    flags("no optimizer", "launch good.py --optimizers ,", "at least one optimizer"),
    flags("unknown objective", "launch good.py --in-process --objective val_los", 'Did you mean "val_loss"'),
    flags("a training metric as objective", "launch good.py --in-process --objective loss", "validation metric"),
    flags("a strange direction", "launch good.py --in-process --objective val_loss:up", ":min"),
    flags("no trials", "launch good.py --trials 0", "--trials.*Received: 0"),
    flags("negative trials", "launch good.py --trials -5", "--trials.*Received: -5"),
    flags("absurdly many trials", "launch good.py --trials 1000000000000", "--trials"),
    flags("trials in words", "launch good.py --trials many", "many"),
    flags("no epochs", "launch good.py --epochs 0", "--epochs.*Received: 0"),
    flags("a negative seed", "launch good.py --seed -1", "--seed.*Received: -1"),
    flags("negative workers", "launch good.py --workers -1", "workers.*-1"),
    flags("absurdly many workers", "launch good.py --workers 100000", "workers.*100000"),
    flags("unknown tier", "launch good.py --tune 3", "--tune.*Received"),
    flags("a name with a quote", "launch good.py --name a'b", "--name"),
    flags("a name with a slash", "launch good.py --name a/b", "--name"),
    flags("a name with a line break", "launch good.py --name a\nb", "--name"),
    flags("an unknown option", "launch good.py --trails 3", "--trails"),
    flags("no problem", "launch", "problem|PROBLEM"),
    flags("an unknown command", "lunch good.py", "lunch"),
    flags("a tracking address of no kind", "launch good.py --tracking nonsense://x", "--tracking"),
    Case("further trials without a plus", "resume any --trials 5", 2, r"\+24"),
    Case("no further trials", "resume any --trials +0", 2, r"\+1"),
    flags("a script as JSON", "launch good.py --workers 1 --dry-run --json", "Leave out --json"),
    Case("a verdict as JSON and as code", "report any --json --code", 2, "--json with --code"),
    Case("a port that cannot be", "ui --port 99999", 2, "99999"),
    Case("two kinds of address", "db url --optuna --mlflow", 2, "one of"),
    Case("a backup that is not there", "db restore nowhere.tar", 2, "nowhere.tar"),
    Case("a backup into no folder", "db backup nowhere/x.tar", 2, "nowhere/x.tar"),
    # what is not there
    Case("unknown study", "status nosuch", 3, 'no study "nosuch"'),
    Case("unknown study to resume", "resume nosuch", 3, 'no study "nosuch"'),
    Case("unknown study to list", "trials nosuch --json", 3, 'no study "nosuch"'),
    Case("unknown study to see", "ui nosuch", 3, 'no study "nosuch"'),
    Case("unknown study to show", "show nosuch 3", 3, 'no study "nosuch"'),
    # addresses
    Case("another database", f"studies --storage mysql://ann:{PASSWORD}@host/db", 2, "PostgreSQL only"),
    Case("no address", "studies --storage nonsense", 2, "postgresql://user@host"),
    Case("no database in the address", f"studies --storage postgresql://ann:{PASSWORD}@host", 2, "name a database"),
    Case("nothing listens", f"studies --storage postgresql://ann:{PASSWORD}@127.0.0.1:9/db", 5, "refused"),
    Case("an unknown host", f"studies --storage postgresql://ann:{PASSWORD}@nowhere.invalid/db", 5, "unknown"),
    Case("a wrong password", f"launch good.py --storage postgresql://postgres:{PASSWORD}@{{server}}/optselect", 5, "password", {"good.py": GOOD}),
    Case("no such database", "studies --storage postgresql://postgres@{server}/nosuch", 5, "database nosuch", {}, {"OPTSELECT_STORAGE_PASSWORD_FILE": "{pw}"}),
    Case("a password file that is not there", "studies --storage postgresql://ann@host/db", 2, "nowhere-pw", {}, {"OPTSELECT_STORAGE_PASSWORD_FILE": "nowhere-pw"}),
    # the home
    Case("a home below a file", "studies", 5, "home", {"file": ""}, {"OPTSELECT_HOME": "file/home"}),
    # the spec
    Case("no such spec", "launch good.py --spec nowhere.toml", 2, "nowhere.toml", {"good.py": GOOD}),
    spec("broken TOML", "trials = = 3\n", r"line 1.*study\.toml"),
    spec("an unknown key", "trails = 3\n", r"no key trails \(study\.toml, line 1\).*trials"),
    spec("low above high", "[space.Adam]\nlearning_rate = {low = 0.1, high = 0.01}\n", r"space\.Adam\.learning_rate.*line 2"),
    spec("log of 0", "[space.Adam]\nlearning_rate = {low = 0, high = 0.01, log = true}\n", r"space\.Adam\.learning_rate\.low.*line 2"),
    spec("a beta of 1", "[space.Adam]\nbeta_1 = {low = 0.5, high = 1.0}\n", r"space\.Adam\.beta_1.*line 2"),
    spec("log of a beta", "[space.Adam]\nbeta_1 = {low = 0.5, high = 0.9, log = true}\n", r"space\.Adam\.beta_1.*1 - x"),
    spec("an unknown optimizer table", "[space.Adm]\nlearning_rate = 0.1\n", r"Adm.*adam.*line 1"),
    spec("a number as text", 'trials = "many"\n', r"trials.*many.*line 1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def here(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory, forked: Forks) -> Shell:
    """A shell over a running server with empty tables."""
    prepared = shell(acceptance_home, tmp_path_factory.mktemp("bad input"))
    assert forked.run(prepared, "studies").returncode == 0
    return prepared


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_answered_by_one_line_and_leaves_nothing(
    case: Case, here: Shell, forked: Forks, tmp_path: Path
) -> None:
    typed = Shell(here.home, tmp_path, here.environment)
    for name, text in case.files.items():
        (tmp_path / name).write_text(text)
    url = embedded.attach(here.home)
    assert url is not None and url.password is not None
    (tmp_path / "pw").write_text(str(url.password))
    fill = {"server": f"127.0.0.1:{url.port}", "pw": "pw"}
    environment = {name: value.format(**fill) for name, value in case.environment.items()}
    arguments = case.arguments.format(**fill).split(" ")
    before = left_behind(here), sorted(tmp_path.iterdir())

    done = forked.run(typed, *arguments, **environment)

    assert done.returncode == case.code, done.stderr
    assert re.search(case.words, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("optselect: "), done.stderr
    assert "Traceback" not in done.stderr and PASSWORD not in done.stderr + done.stdout
    assert done.stdout == ""
    assert (left_behind(here), sorted(tmp_path.iterdir())) == before


def left_behind(here: Shell) -> list[str]:
    """Every study of the database and every file of the home outside the server's own folder and the kept rows."""
    studies = [name for (name,) in query(here, "SELECT name FROM optselect.study")]
    trials = [str(row) for row in query(here, "SELECT count(*) FROM optuna.studies")]
    files = [
        str(file)
        for file in here.home.rglob("*")
        if not {"pg", "rows"} & {*file.relative_to(here.home).parts}
    ]
    return sorted(studies + trials + files)


@pytest.mark.parametrize(("options", "cause"), [("rw", "no space left on"), ("ro", "is read-only")])
def test_a_home_that_cannot_be_written_is_said_in_one_line(options: str, cause: str, here: Shell) -> None:
    with throw_away_home("disk") as disk, small_file_system(disk, "2m", options):
        done = here.run("studies", OPTSELECT_HOME=str(disk / "home"))
    assert done.returncode == 5, done.stderr
    assert cause in done.stderr and str(disk) in done.stderr and "OPTSELECT_HOME" in done.stderr
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback_after_the_line(here: Shell, forked: Forks) -> None:
    done = forked.run(here, "--debug", "status", "nosuch")
    assert done.returncode == 3
    assert done.stderr.startswith("optselect: ") and "Traceback" in done.stderr
