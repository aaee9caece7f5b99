"""A file is replaced as a whole, as closed as was asked, under whatever name."""

import errno
import os
import stat
from pathlib import Path

import pytest

from optselect.storage.server.own_files import private, replacing


def test_a_reader_sees_the_old_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text("old")
    with replacing(file, lasting=True) as stream:
        stream.write(b"new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text("old")
    with pytest.raises(OSError, match="No space left") as caught, replacing(file) as stream:
        stream.write(b"new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(file)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_none_is_said_as_the_system_says_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), replacing(tmp_path / "file" / "spec.toml"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="there are no such rights")
def test_a_private_file_is_this_accounts_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "pgpass", private) as stream:
        stream.write(b"secret")
        (aside,) = tmp_path.iterdir()
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "pgpass").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127])
def test_the_longest_name_can_be_written(tmp_path: Path, name: str) -> None:
    with replacing(tmp_path / name) as stream:
        stream.write(b"whole")
    assert (tmp_path / name).read_bytes() == b"whole"
