"""Where the programs of the embedded server are looked for."""

from pathlib import Path

import pytest

from optselect.storage.errors import Unreachable
from optselect.storage.server import binaries
from optselect.storage.server.binaries import find_binaries


def test_a_wrong_folder_of_binaries_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=f"OPTSELECT_PG_BIN must name a folder.*{tmp_path}"):
        find_binaries({"OPTSELECT_PG_BIN": str(tmp_path)})


def test_without_any_binaries_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "holds_server", lambda folder: False)
    with pytest.raises(Unreachable, match=r"install PostgreSQL, set OPTSELECT_PG_BIN.*--storage"):
        find_binaries({"PATH": ""})
