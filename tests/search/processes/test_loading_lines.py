"""What processes say of the user's code that they load is read from their logs as it comes, and only while it holds."""

from pathlib import Path

import pytest

from optselect.search.processes import loading_lines
from optselect.search.processes.loading_lines import LoadingLines


def test_the_last_words_of_each_log_are_read_once_they_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading_lines, "LOOK_SECONDS", 0.0)
    one, other = tmp_path / "worker-0.log", tmp_path / "worker-1.log"
    one.write_text("06:10:00 INFO loading data() since 99 s\n")  # of an earlier process
    heard = LoadingLines(tmp_path, "worker-*.log")
    assert heard.now() == []
    with one.open("a") as log, other.open("a") as second:
        log.write("06:10:10 INFO loading data() since 10 s\n06:10:40 INFO loading data() si")
        log.flush()
        assert heard.now() == ["loading data() since 10 s"]
        print("nce 40 s", file=log, flush=True)
        print("06:10:40 INFO loading data() since 40 s", file=second, flush=True)
        assert heard.now() == ["loading data() since 40 s"], "the same of two processes is said once"
        print("06:10:50 INFO ready to train, after 3.0 CPU seconds", file=log, flush=True)
        print("06:10:50 INFO loading model() since 10 s", file=second, flush=True)
        assert heard.now() == ["loading model() since 10 s"]
