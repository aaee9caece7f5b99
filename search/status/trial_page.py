"""What happened in one trial? Its settings, its curve and one sentence on why it ended."""

import math
from collections.abc import Sequence
from pathlib import Path

from optselect.search.documents import SCHEMA, Checkpoint, ShownTrial
from optselect.search.spec.objective import Objective
from optselect.search.spec.settings import settings_code
from optselect.search.spec.stored import unchecked_spec
from optselect.search.spec.study_spec import StudySpec
from optselect.search.status.standing import trial_json
from optselect.search.status.tables import shown_seconds
from optselect.search.status.ways import way_line
from optselect.storage.records.checkpoints import Kept
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.studies import StoredStudy
from optselect.trials.terms.configuration import BASELINE, with_imports
from optselect.trials.terms.description import ProblemDescription

BARS = "▁▂▃▄▅▆▇█"
WIDEST = 40
"""Columns of a sparkline; longer curves are thinned."""


def trial_page(
    study: StoredStudy,
    trial: TrialRow,
    curve: Sequence[EpochRow],
    code: str,
    link: str | None,
    kept: Kept | None = None,
    files: Path | None = None,
) -> str:
    """The page as lines of at most 80 columns, apart from code and addresses.

    Args:
        code: its optimizer as code to paste.
        link: of the run in MLflow, where a server is known.
        kept: its newest checkpoint.
        files: the folder in which its callbacks wrote, where that is on this machine.
    """
    head = f"trial {trial.trial} of {study.name}: {trial.optimizer}, {trial.state}"
    facts = [
        f"phase {trial.phase}",
        f"seed {trial.seed}",
        f"{trial.epochs} of {unchecked_spec(study).epochs} epochs",
    ]
    facts += [f"{trial.attempts} attempts"] if trial.attempts > 1 else []
    facts += [shown_seconds(trial.seconds)] if trial.seconds is not None else []
    judged = f"objective {Objective.of(study).in_words}"
    lines = [head, ", ".join(facts), judged, "", code, ""]
    lines += [*curve_lines(curve, study), ""] if curve else []
    lines += [
        why_it_ended(trial, study),
        *filter(None, [way_line(trial.notes)]),
        *([] if kept is None else [checkpoint_line(kept)]),
        *([] if files is None else [f"Files of its callbacks: {files}"]),
        mlflow_line(study, trial, link),
    ]
    return "\n".join(lines)


def trial_code(trial: TrialRow, spec: StudySpec, problem: ProblemDescription) -> str:
    """The optimizer as code to paste, below its imports."""
    if trial.optimizer == BASELINE:
        return with_imports(f"{problem.baseline.whole_code}  # your own")
    if not trial.params and trial.role != "defaults":
        return "(no settings yet)"
    remark = "  # Keras's defaults" if trial.role == "defaults" else ""
    return with_imports(
        f"{settings_code(spec, trial.optimizer, trial.params, problem.steps_per_epoch)}{remark}"
    )


def curve_lines(curve: Sequence[EpochRow], study: StoredStudy) -> list[str]:
    """One sparkline per metric, the objective first; the learning rate only where it moves."""
    names = sorted(curve[-1].metrics, key=lambda name: (name.removeprefix("val_"), name))
    names = [name for name in names if name != study.objective]
    if len({row.metrics.get("learning_rate") for row in curve}) == 1:
        names = [name for name in names if name != "learning_rate"]
    shown = [study.objective, *names] if study.objective in curve[-1].metrics else names
    width = max(len(name) for name in shown)
    return [
        curve_line(name.ljust(width), [row.metrics.get(name, math.nan) for row in curve]) for name in shown
    ]


def curve_line(name: str, values: Sequence[float]) -> str:
    """First value, sparkline, last value.

    >>> curve_line("val_loss", [4.0, 3.0, 2.0, 1.0])
    'val_loss         4 █▆▃▁ 1'
    """
    return f"{name} {values[0]:>9.4g} {sparkline(values)} {values[-1]:.4g}"


def sparkline(values: Sequence[float]) -> str:
    """Bars from the lowest to the highest finite value; a dot where a value is not finite.

    >>> sparkline([0.0, 1.0, float("nan"), 7.0])
    '▁▂·█'
    >>> sparkline([2.0, 2.0])
    '▁▁'
    """
    step = max(1, math.ceil(len(values) / WIDEST))
    thinned = [*values[: -1 if step > 1 else None : step], *(values[-1:] if step > 1 else [])]
    finite = [value for value in thinned if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)

    def bar(value: float) -> str:
        if not math.isfinite(value):
            return "·"
        return BARS[0] if high == low else BARS[round((value - low) / (high - low) * (len(BARS) - 1))]

    return "".join(map(bar, thinned))


def why_it_ended(trial: TrialRow, study: StoredStudy) -> str:
    """One sentence."""
    epochs = unchecked_spec(study).epochs
    objective = "" if trial.value is None else f" {study.objective} is {trial.value:.5g}."
    if trial.state == "complete" and trial.epochs < epochs:
        return f"It was stopped after epoch {trial.epochs} by a callback of the problem's own fit.{objective}"
    sentences = {
        "complete": f"It trained all its epochs.{objective}",
        "diverged": f"It diverged: {trial.message}.",
        "failed": f"It failed: {trial.message}.",
        "pruned": f"It was stopped early: {trial.message}.",
        "running": f"It is running; {trial.epochs} of {epochs} epochs are written.",
        "waiting": "It waits for a worker.",
    }
    return sentences[trial.state]


def checkpoint_line(kept: Kept) -> str:
    """From where it would go on.

    >>> checkpoint_line(Kept(7, 12_345, None))
    'Checkpoint of epoch 7: 12.3 kB, in the database.'
    """
    return f"Checkpoint of epoch {kept.epoch}: {kept.bytes / 1000:.1f} kB, {kept.uri or 'in the database'}."


def mlflow_line(study: StoredStudy, trial: TrialRow, link: str | None) -> str:
    if link is not None:
        return f"MLflow: {link}"
    if trial.mlflow_run_id is None:
        return "MLflow has no run of it yet."
    return f"MLflow: run {trial.mlflow_run_id}; to see it: optselect ui {study.name}"


def trial_page_json(
    trial: TrialRow,
    curve: Sequence[EpochRow],
    why: str,
    link: str | None,
    kept: Kept | None,
) -> ShownTrial:
    """The same as data: the trial as `trials --json` shows it, its curve and the sentence."""
    checkpoint: Checkpoint | None = None
    if kept is not None:
        checkpoint = {"epoch": kept.epoch, "bytes": kept.bytes, "uri": kept.uri}
    return {
        "schema": SCHEMA,
        **trial_json(trial),
        "seed": trial.seed,
        "why": why,
        "mlflow_url": link,
        "checkpoint": checkpoint,
        "curve": [{"epoch": epoch.epoch, **epoch.metrics} for epoch in curve],
    }
