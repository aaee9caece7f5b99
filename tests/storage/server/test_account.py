"""What the account of the embedded server may do."""

import os
from pathlib import Path

from optselect.storage.server.account import Account, can_enter


def test_a_closed_parent_folder_locks_an_account_out(tmp_path: Path) -> None:
    (tmp_path / "closed" / "home").mkdir(parents=True)
    stranger = Account("stranger", uid=os.getuid() + 12345, gid=os.getgid() + 12345)
    (tmp_path / "closed").chmod(0o700)
    assert not can_enter(tmp_path / "closed" / "home", stranger)
    assert can_enter(Path("/"), stranger)
