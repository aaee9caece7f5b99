"""Users' scripts, written by `report --code`, import this name for ever; the class stands in optimizers/schedules.py."""

from optselect.trials.optimizers.schedules import WarmedUp

__all__ = ["WarmedUp"]
