"""A stored spec is read whole where one acts on it, and looked at whichever version has stored it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from optselect.search.spec.stored import stored_spec, unchecked_spec
from optselect.search.status.live_view import Sight, live_view
from optselect.search.status.standing import standing
from optselect.search.status.tables import next_commands, summary
from optselect.storage.errors import InvalidRow
from optselect.storage.records.studies import StoredStudy
from tests.support.problems import description
from tests.support.simulated import spec_of


def study(**changed: Any) -> StoredStudy:
    spec = {**spec_of(optimizers="sgd,adam", trials=4).model_dump(mode="json"), **changed}
    return StoredStudy(
        id=1, name="net", spec=spec, spec_version=1, problem=description().to_json(), bundle={}, bundle_sha256="",
        data_hash="", versions={}, objective="val_loss", direction="minimize", tracking_uri=None, checkpoints=None,
        budget=4, state="finished", decisions=[], mlflow_experiment_id=None, created_at=datetime.now(UTC),
        finished_at=None,
    )  # fmt: skip


def test_a_stored_spec_is_the_one_that_was_launched() -> None:
    assert stored_spec(study()) == spec_of(optimizers="sgd,adam", trials=4)


@pytest.mark.parametrize("changed", [{"goal": "of_tomorrow"}, {"a_key_of_tomorrow": [1]}])
def test_a_study_of_a_later_version_is_shown_though_nobody_here_can_go_on_with_it(
    changed: dict[str, Any],
) -> None:
    later = study(**changed)
    with pytest.raises(InvalidRow, match="The spec of study net must be one that this version knows"):
        stored_spec(later)
    assert list(standing(later, []).by_optimizer) == ["SGD", "Adam"]
    assert summary(later, [])
    assert live_view(Sight(replace(later, state="running"), [], []))
    assert "optselect report net" in next_commands(later, finished=True)


def test_a_look_at_a_spec_knows_the_defaults_of_keys_that_came_later() -> None:
    old = study()
    old = replace(
        old, spec={name: value for name, value in old.spec.items() if name not in ("goal", "seeds")}
    )
    assert unchecked_spec(old).has_finals
    assert not unchecked_spec(study(goal="best-config")).compares
