"""How often has Keras used each name? It counts the names that it gives, so a second AUC would be auc_1."""

import collections
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from keras.src.backend.common import global_state


@contextmanager
def names_not_counted() -> Iterator[None]:
    """Let Keras forget the names that it gives inside: a problem loaded again then names its metrics as before."""
    counts = counted_names()
    try:
        yield
    finally:
        count_names_from(counts)


def counted_names() -> Mapping[str, int]:
    """Give how often Keras has used each name so far."""
    return dict(global_state.get_global_attribute("object_name_uids") or {})


def count_names_from(counts: Mapping[str, int]) -> None:
    """Let Keras go on counting from there."""
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int, counts))
