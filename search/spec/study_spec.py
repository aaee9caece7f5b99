"""What was asked for, and what does it come to for this model?

A Request is what a person said. A StudySpec is what the study does: every choice resolved, stored with the
study, enough to go on by name alone. The same request on the same model always resolves to the same spec,
so launching again can tell "the same study" from "another one".
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, create_model, field_validator

from optselect.search.errors import InvalidInput, told_where_said
from optselect.search.spec.declarations import DEFAULT_TRIALS, LaunchSettings, Sampler
from optselect.search.spec.declaring import demand_one_of, parted, settings_of
from optselect.search.spec.dimension import Choice, Dimension, Scale
from optselect.search.spec.objective import Direction, Objective, parse_objective
from optselect.search.spec.space import (
    FULL_TIER_1,
    Custom,
    Override,
    choose_optimizers,
    find_optimizer,
    study_space,
)
from optselect.search.spec.switching import SwitchSpec, check_switches, read_switches, switch_space
from optselect.trials.terms.configuration import SCHEDULES
from optselect.trials.terms.description import ProblemDescription
from optselect.trials.terms.reference import stored_reference

SPEC_VERSION = 2
"""1 knew no sampler but TPE, and not on whom a class of one's own leans."""

TRIALS_EACH: Mapping[str, int] = {"small": 10, "medium": 16, "large": 24}
"""Trials of each optimizer that a budget stands for; how often each is right: docs/verdict-measured.md."""
FEWEST_TRIALS = 4
"""Trials of each optimizer below which nobody was tuned well enough to lose."""
OF_THE_FILE = "of the problem file"
DEFAULT_SAMPLER: Sampler = "learned"


@dataclass(frozen=True)
class Request(LaunchSettings):
    """Everything that was asked, flags and file in one, checked as far as it can be without the model."""

    space: Mapping[str, Override] = field(default_factory=dict)
    """Ranges of one's own, by optimizer."""
    switches: tuple[SwitchSpec, ...] = ()
    """Those that a spec file says in all their parts."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where a spec file says a setting, by its key: "study.toml, line 3"; a flag's is not among them."""

    def __post_init__(self) -> None:
        with told_where_said(self.places):
            for one in settings_of(type(self)):
                one.demand_allowed(getattr(self, one.name))
            if self.switch is not None:
                read_switches(self.switch)
            if self.schedule is not None:
                schedule_kinds(self.schedule)

    @property
    def asked_switches(self) -> tuple[SwitchSpec, ...]:
        """Those of the flag, which wins over the file."""
        if self.switch is None:
            return self.switches
        return tuple(SwitchSpec(first=first, second=second) for first, second in read_switches(self.switch))


def stored_model(declared: type[LaunchSettings]) -> type[BaseModel]:
    """What a spec says as it was asked: the settings that are declared to be stored."""
    kept: Any = {
        one.name: (one.type if one.default is not None else one.type | None, one.default)
        for one in settings_of(declared)
        if one.is_stored
    }
    return create_model("Stored", **kept)


if TYPE_CHECKING:

    class Stored(BaseModel, LaunchSettings, frozen=True):
        """Mypy reads the types where they are declared; that not all of them are stored it need not know."""

else:
    Stored = stored_model(LaunchSettings)


class CustomClass(BaseModel):
    """An optimizer of the study that is not Keras's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    """As it is written for --optimizers, with a whole path."""
    required: tuple[str, ...] = ()
    """Its arguments without a default: there is no run at its defaults then."""
    kin: str = ""
    """The class of Keras's that it derives from; empty where there is none, and in studies of before."""


class StudySpec(Stored, frozen=True, extra="forbid"):
    """What a study does, for its whole life: what was asked, and what that came to."""

    problem: str
    """An absolute path, or the bare name of a bundled problem."""
    folder: str
    """Where the study was launched: data() may look for files from there."""
    optimizers: tuple[str, ...]  # type: ignore[assignment]  # the names of which the request is a text
    sampler: Sampler = "tpe"
    """Studies of before do not say it."""
    trials: int
    """0 where minutes decide it after the baseline runs."""
    epochs: int
    objective: str
    direction: Direction
    averages: bool = False
    """A callback of the problem's swaps averaged weights: all optimizers keep them, also at their defaults."""
    switches: tuple[SwitchSpec, ...] = ()
    """Each is a class among the optimizers too, after those it is made of."""
    custom: dict[str, CustomClass] = Field(default_factory=dict)
    """The optimizers that are not Keras's, by name."""
    space: dict[str, tuple[Dimension, ...]]

    @field_validator("space")
    @classmethod
    def in_order(
        cls, space: dict[str, tuple[Dimension, ...]], info: ValidationInfo
    ) -> dict[str, tuple[Dimension, ...]]:
        """In the order of the optimizers, which jsonb does not keep: Optuna's choices must never change."""
        return {name: space[name] for name in info.data["optimizers"]}

    def without(self, names: Container[str]) -> "StudySpec":
        """The same study as if these optimizers had not been asked for; what is planned for the others is theirs."""
        left = tuple(name for name in self.optimizers if name not in names)
        switches = tuple(switch for switch in self.switches if switch.name in left)
        return self.model_copy(update={"optimizers": left, "switches": switches})

    @property
    def compares(self) -> bool:
        """Whether optimizers are compared; else one good configuration is looked for."""
        return self.goal != "best-config"

    @property
    def has_finals(self) -> bool:
        """Whether it ends with runs on fresh seeds, and with a verdict."""
        return self.compares and self.seeds > 0

    @property
    def singles(self) -> tuple[str, ...]:
        """The optimizers that are no switch."""
        return tuple(name for name in self.optimizers if self.switch_of(name) is None)

    @property
    def with_defaults(self) -> tuple[str, ...]:
        """The optimizers that can run at their constructor's defaults."""
        return tuple(
            name for name in self.singles if not (name in self.custom and self.custom[name].required)
        )

    @property
    def default_arguments(self) -> dict[str, Choice]:
        """What a run at Keras's defaults is given all the same, because a callback needs it."""
        return {"use_ema": True} if self.averages else {}

    def module_of(self, optimizer: str) -> str:
        """Where a class that is not Keras's is imported from; empty for Keras's own."""
        own = self.custom.get(optimizer)
        return "" if own is None else stored_reference(own.reference).module

    def switch_of(self, optimizer: str) -> SwitchSpec | None:
        """The switch of that name."""
        return next((switch for switch in self.switches if switch.name == optimizer), None)

    def is_thin(self, budget: int) -> bool:
        """Whether the optimizers get too few trials for a verdict."""
        return budget // len(self.optimizers) < FEWEST_TRIALS

    @property
    def few_trials(self) -> str:
        """What to mind before a comparison with too few trials starts; empty where there is nothing to mind."""
        if not self.has_finals or not self.trials or not self.is_thin(self.trials):
            return ""
        count = len(self.optimizers)
        return (
            f"{self.trials} trials are fewer than {FEWEST_TRIALS} for each of {count} optimizers: the verdict will be "
            f"not enough evidence. For more than a first look: --trials {FEWEST_TRIALS * count} or more, or fewer "
            "optimizers."
        )

    def is_scheduled(self, optimizer: str) -> bool:
        """Whether its rate changes in a training: values in the middle of it do not compare then."""
        return any(d.keyword == "schedule" and d.choices != ("constant",) for d in self.space[optimizer])


def resolve(
    request: Request,
    problem: ProblemDescription,
    bundled: bool,
    folder: Path,
    customs: Mapping[str, Custom] = MappingProxyType({}),
) -> StudySpec:
    """What the request comes to for the described model; raises InvalidInput."""
    singles = choose_optimizers(request.optimizers, problem.baseline.optimizer)
    switches = tuple(spelled(switch, tuple(customs)) for switch in request.asked_switches)
    optimizers = (*singles, *(switch.name for switch in switches))
    with told_where_said(request.places):  # only the model knows its metrics
        objective = parse_objective(request.objective, problem.metrics, problem.known_metrics)
    epochs = request.epochs or problem.epochs
    check_warmup(request.space, problem.steps_per_epoch, epochs)
    check_switches(switches, singles, epochs, request.goal)
    trials = asked_trials(request, len(optimizers))
    sampler = request.sampler or DEFAULT_SAMPLER
    each = trials_for_tuning(trials, len(optimizers), sampler)
    space = study_space(singles, request.tune, each, request.space, customs)
    space = {name: scheduled(name, space[name], request.schedule) for name in singles}
    check_schedules(space, problem.steps_per_epoch)
    check_rate_setters(space, problem.set_the_rate)
    check_averages(space, problem)
    space |= {
        switch.name: switch_space(switch, space[switch.first], space[switch.second]) for switch in switches
    }
    as_asked = {one.name: getattr(request, one.name) for one in settings_of(LaunchSettings) if one.is_stored}
    return StudySpec(
        problem=request.problem if bundled else problem.path,
        folder=str(folder),
        optimizers=optimizers,
        trials=trials,
        epochs=epochs,
        objective=objective.name,
        direction=objective.direction,
        averages=bool(problem.averaging_callback),
        switches=switches,
        custom={
            name: CustomClass(reference=one.reference, required=one.required, kin=one.kin)
            for name, one in customs.items()
        },
        space=space,
        **{**as_asked, "sampler": sampler},
    )


def trials_for_tuning(trials: int, optimizers: int, sampler: Sampler) -> int:
    """By how many trials of each optimizer it is decided what is searched of it.

    The learned sampler knows where the usual arguments matter, with few trials, too.
    """
    each = trials // optimizers if trials else TRIALS_EACH["medium"]
    return max(each, FULL_TIER_1) if sampler == "learned" else each


def spelled(switch: SwitchSpec, customs: Sequence[str]) -> SwitchSpec:
    """The names as the catalogue spells them."""
    names = {
        "first": find_optimizer(switch.first, customs),
        "second": find_optimizer(switch.second, customs),
    }
    return switch.model_copy(update=names)


def schedule_kinds(text: str) -> tuple[str, ...]:
    """What stands behind --schedule.

    >>> schedule_kinds("constant, cosine")
    ('constant', 'cosine')
    """
    kinds = tuple(dict.fromkeys(parted(text)))
    for kind in kinds or (text,):
        demand_one_of("schedule", kind, SCHEDULES)
    return kinds


def scheduled(optimizer: str, dimensions: Sequence[Dimension], schedule: str | None) -> tuple[Dimension, ...]:
    """The dimensions with the schedules that a flag names; those of a spec file win."""
    own = any(dimension.keyword == "schedule" for dimension in dimensions)
    if schedule is None or own or optimizer == "ScheduleFreeAdamW":
        return tuple(dimensions)
    kinds = schedule_kinds(schedule)
    scale: Scale = "choice" if len(kinds) > 1 else "fixed"
    return (*dimensions, Dimension(keyword="schedule", scale=scale, choices=kinds))


def check_schedules(space: Mapping[str, Sequence[Dimension]], steps_per_epoch: int | None) -> None:
    """A schedule is laid over the steps of a training, so their number must be known."""
    names = [name for name, dimensions in space.items() if any(d.keyword == "schedule" for d in dimensions)]
    if names and steps_per_epoch is None:
        raise InvalidInput(
            f"A schedule ({names[0]}) needs data() whose number of batches is known. Received: data that does not "
            'say it. Give fit = {"steps_per_epoch": ...} in the problem file.'
        )


def check_rate_setters(space: Mapping[str, Sequence[Dimension]], set_the_rate: Sequence[str]) -> None:
    """Only one of a schedule and a callback can say how a learning rate changes."""
    kinds = {
        str(kind)
        for dimensions in space.values()
        for dimension in dimensions
        if dimension.keyword == "schedule"
        for kind in dimension.choices or ()
    }
    if set_the_rate and (schedules := sorted(kinds - {"constant"})):
        raise InvalidInput(
            f"A learning rate must have one schedule. Received: the schedule {', '.join(schedules)} and "
            f"{' and '.join(set_the_rate)} among the callbacks of fit, which sets the learning rate, too. Leave one out."
        )


def asked_trials(request: Request, optimizers: int) -> int:
    """Search trials in all; 0 where minutes decide them later."""
    said = {"--trials": request.trials, "--budget": request.budget, "--minutes": request.minutes}
    given = [flag for flag, value in said.items() if value is not None]
    if len(given) > 1:
        raise InvalidInput(
            "Only one of --trials, --budget and --minutes may say how much is searched. "
            f"Received: {' and '.join(given)}."
        )
    if request.minutes is not None:
        return 0
    if request.budget is not None:
        return TRIALS_EACH[request.budget] * optimizers
    return DEFAULT_TRIALS if request.trials is None else request.trials


def check_warmup(space: Mapping[str, Override], steps_per_epoch: int | None, epochs: int) -> None:
    """Refuse a warm-up that never ends; where the steps are unknown, so is that."""
    for override in space.values():
        for dimension in override.dimensions:
            if dimension.keyword != "warmup_steps" or steps_per_epoch is None:
                continue
            most = max(dimension.choices or dimension.keras_bounds())  # type: ignore[type-var]
            if most >= (total := steps_per_epoch * epochs):  # type: ignore[operator]
                raise InvalidInput(
                    f"{override.place}: warmup_steps must be less than the {total} steps of a training "
                    f"({steps_per_epoch} an epoch, {epochs} epochs). Received: {most}."
                )


def check_averages(space: Mapping[str, Sequence[Dimension]], problem: ProblemDescription) -> None:
    """Refuse optimizers that keep no averaged weights where a callback swaps them: each of their trials would fail."""
    if not problem.averaging_callback:
        return
    without = [name for name, dimensions in space.items() if not any(map(keeps_averages, dimensions))]
    if without:
        mend = ", ".join(f"[space.{name}] use_ema = true" for name in without)
        raise InvalidInput(
            f"The callback {problem.averaging_callback} needs use_ema=True in every optimizer of the study. "
            f"Received: {', '.join(without)} without it. Write {mend} in a spec file (--spec), "
            "or leave the callback out."
        )


def keeps_averages(dimension: Dimension) -> bool:
    return dimension.keyword == "use_ema" and all(choice is True for choice in dimension.choices)


def differences(stored: StudySpec, wanted: StudySpec) -> Iterator[str]:
    """What differs between a stored spec and a new one, a few words each; the place of launch does not count."""
    # On whom a class leans is no setting of a person's.
    kin = {"custom": {"__all__": {"kin"}}}
    before, new = stored.model_dump(mode="json", exclude=kin), wanted.model_dump(mode="json", exclude=kin)
    for key, value in new.items():
        old = before.get(key)
        if (
            key == "folder"
            or old == value
            or (key == "direction" and before["objective"] != new["objective"])
        ):
            continue
        if key == "space":
            yield from differing_ranges(old or {}, value)
        elif key == "custom":
            yield f"classes {shown_classes(old)} -> {shown_classes(value)}"
        elif key == "switches":
            yield f"switches {shown_switches(old)} -> {shown_switches(value)}"
        elif key == "direction":
            yield f"objective {Objective.of(stored).as_typed} -> {Objective.of(wanted).as_typed}"
        elif key == "precision":
            yield f"precision {old or OF_THE_FILE} -> {value or OF_THE_FILE}"
        elif isinstance(value, list):
            yield f"{key} {','.join(old or [])} -> {','.join(value)}"
        else:
            yield f"{key} {old} -> {value}"


def shown_classes(custom: Any) -> str:
    return ", ".join(one["reference"] for one in (custom or {}).values()) or "none"


def shown_switches(switches: Any) -> str:
    """The switches of a stored spec in a few words."""
    read = [SwitchSpec.model_validate(switch) for switch in switches or ()]
    return (
        ", ".join(
            " ".join([switch.name, *(f"{name}={value}" for name, value in unusual(switch).items())])
            for switch in read
        )
        or "none"
    )


def unusual(switch: SwitchSpec) -> dict[str, Any]:
    """What a switch says beyond its two optimizers."""
    return switch.model_dump(exclude_defaults=True, exclude={"first", "second"})


def differing_ranges(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Only of optimizers that both have: the list of optimizers is compared by itself."""
    for optimizer in new:
        if optimizer not in old:
            continue
        before, after = by_keyword(old[optimizer]), by_keyword(new[optimizer])
        for keyword in dict.fromkeys((*before, *after)):
            was, becomes = before.get(keyword), after.get(keyword)
            if was != becomes:
                yield f"space.{optimizer}.{keyword} {change_of_range(was, becomes)}"


def by_keyword(dimensions: Any) -> dict[str, Dimension]:
    read = [Dimension.model_validate(dimension) for dimension in dimensions]
    return {dimension.keyword: dimension for dimension in read}


def change_of_range(was: Dimension | None, becomes: Dimension | None) -> str:
    """Both ranges, with all their digits where fewer would look the same."""
    for exact in (False, True):
        old, new = (d.shown_range(exact) if d else "not searched" for d in (was, becomes))
        if old != new:
            break
    return f"{old} -> {new}"
