"""Nobody else may look into a home, whatever the umask; what is another account's is no home of ours."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from optselect.storage.errors import InvalidAddress
from optselect.storage.records.checkpoint_files import write_file
from optselect.storage.server.home import is_root, open_home
from optselect.storage.server.own_files import close_all, closed, make_folder, write_closed

HOME = 0o711 if is_root() else 0o700
needs_root = pytest.mark.skipif(not is_root(), reason="only root makes another account's files")


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_its_accounts_alone_and_so_is_all_below(tmp_path: Path) -> None:
    home = tmp_path / "data" / "home"
    open_home(home)
    assert mode(home) == mode(home.parent) == HOME
    write_file(str(home / "checkpoints" / "a-1" / "x"), "ticket.npz", b"")
    make_folder(home / "logs" / "a")
    with open(home / "logs" / "a" / "worker.log", "ab", opener=closed):
        pass
    write_closed(home / "note.json", b"{}")
    found = [path for path in home.rglob("*") if mode(path) & 0o077]
    assert not found


def test_a_home_that_stood_open_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("logs/a", "weights", "my own folder"):
        (home / name).mkdir(parents=True)
    (home / "mlflow-server.json").touch()
    open_home(home)
    modes = {
        name: mode(home / name) for name in (".", "logs", "weights", "mlflow-server.json", "my own folder")
    }
    assert modes == {
        ".": HOME,
        "logs": 0o700,
        "weights": 0o700,
        "mlflow-server.json": 0o600,
        "my own folder": 0o777,
    }


def test_what_is_closed_further_stays_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    open_home(home)
    assert mode(home) == 0o500


def test_a_link_of_ones_own_may_be_the_home(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    open_home(tmp_path / "home")
    assert mode(tmp_path / "disk") == HOME


@needs_root
@pytest.mark.parametrize("planted", ["home", "home/logs", "home/mlflow-server.json", "a link"])
def test_a_home_that_another_account_has_prepared_is_refused_in_one_line(
    tmp_path: Path, planted: str
) -> None:
    home = tmp_path / "home"
    if planted == "a link":
        (tmp_path / "ours").mkdir()
        home.symlink_to(tmp_path / "ours")
        os.lchown(home, 12345, 12345)
    else:
        (tmp_path / planted).mkdir(parents=True)
        os.chown(tmp_path / planted, 12345, 12345)
    with pytest.raises(
        InvalidAddress, match=r"^The home folder must be .* number 12345\. Set OPTSELECT_HOME"
    ) as caught:
        open_home(home)
    assert "\n" not in str(caught.value)


def test_a_folder_that_the_user_shares_stays_as_open_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o770)
    written = Path(write_file(str(shared / "study-1"), "ticket.npz", b""))
    assert (mode(written.parent), mode(written)) == (0o770, 0o660)


def test_what_a_library_wrote_openly_is_closed(tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "run").mkdir(parents=True)
    (tmp_path / "artifacts" / "run" / "report.html").touch()
    (tmp_path / "elsewhere").touch()
    (tmp_path / "artifacts" / "link").symlink_to(tmp_path / "elsewhere")
    close_all(tmp_path / "artifacts")
    assert not [
        path for path in (tmp_path / "artifacts").rglob("*") if not path.is_symlink() and mode(path) & 0o077
    ]
    assert mode(tmp_path / "elsewhere") == 0o666
