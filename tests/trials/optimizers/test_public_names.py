"""Scripts that `report --code` wrote, and models that they saved, name these modules for ever."""

import keras
import pytest

from optselect.trials import schedules, slots


def test_a_script_of_an_earlier_version_finds_what_it_imports() -> None:
    assert schedules.WarmedUp.__name__ == "WarmedUp" and callable(slots.handing_on)


def test_a_model_of_an_earlier_version_finds_its_schedule() -> None:
    stored = {
        "module": "optselect.trials.schedules",
        "class_name": "WarmedUp",
        "config": {"warmup_target": 0.1, "warmup_steps": 4, "then": None},
        "registered_name": "optselect>WarmedUp",
    }
    schedule = keras.saving.deserialize_keras_object(stored)
    assert float(schedule(2)) == pytest.approx(0.05)
    assert keras.saving.serialize_keras_object(schedule)["module"] == stored["module"]
