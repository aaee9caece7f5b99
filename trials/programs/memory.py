"""How much memory does this process own, and how is what it no longer needs given back?"""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


def memory_of_process() -> int:
    """Give the bytes that this process alone holds; all of its bytes where the system does not tell them apart."""
    process = psutil.Process()
    try:
        return int(process.memory_full_info().uss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)


def give_back_memory() -> None:
    """Return freed memory to the system: Linux's C library keeps blocks of up to 32 MB, such as those of arrays."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # glibc's, which musl lacks
        trim(0)


@contextmanager
def collected_at_the_end() -> Iterator[None]:
    """Keep Python from looking for garbage inside, and look through all that was made inside afterwards.

    What was there before, TensorFlow's hundreds of thousands of objects, is not looked through, which takes a third
    of a second: as nothing is collected inside, whatever was made there is of the youngest generation.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if was_enabled:
            gc.enable()
