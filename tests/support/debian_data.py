"""Fashion-MNIST comes as a Debian package; a bare machine has none, the complete run must."""

import os
from pathlib import Path

import pytest

FASHION = Path("/usr/share/datasets/fashion-mnist")
COMPLETE = os.environ.get("OPTSELECT_TESTS") == "complete"  # then a missing package is a failure, not a skip

needs_fashion = pytest.mark.skipif(
    not FASHION.is_dir() and not COMPLETE, reason="needs Debian's package dataset-fashion-mnist"
)
