"""Which process makes the initial weights of seeds? This one: it seeds TensorFlow, builds models and never trains.

    python -m optselect.trials.weights.make_weights PROBLEM --folder FOLDER --seeds 0,1,2 [--rows FOLDER --data HASH]
    ... --listed < WHICH_FILES_MAY_RUN

Writes one file for each seed that FOLDER lacks. Exits 0, 2 where the problem is at fault, or 3 where its model begins
otherwise than the one whose weights FOLDER keeps.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from optselect.trials.data.kept_rows import KeptRows
from optselect.trials.problem.loading import load_problem
from optselect.trials.terms.errors import ProblemError, WeightsChanged
from optselect.trials.terms.listed_code import ListedCode
from optselect.trials.terms.user_code import leave_a_trace_of_interrupts
from optselect.trials.weights.weight_files import CHANGED, WeightFiles


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the weights; returns the exit code."""
    leave_a_trace_of_interrupts()
    options = parse(arguments)
    try:
        rows = KeptRows.of(options.rows, options.data) if options.rows and options.data else None
        listed = ListedCode.from_json(sys.stdin.read()) if options.listed else None
        problem = load_problem(options.problem, precision=options.precision, listed=listed, rows=rows)
        files = WeightFiles(options.folder)
        files.origin.demand(problem)
        files.make(options.seeds, problem.initial_weights.make)
    except WeightsChanged as error:
        print(error, file=sys.stderr)
        return CHANGED
    except ProblemError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m optselect.trials.weights.make_weights")
    parser.add_argument("problem", type=Path, help="a problem file")
    parser.add_argument("--folder", type=Path, required=True, help="where the weights are kept")
    parser.add_argument(
        "--seeds", type=seeds_in, required=True, help="whole numbers, with commas between them"
    )
    parser.add_argument("--precision", help="the dtype policy of the training; default: the file's own")
    parser.add_argument(
        "--listed", action="store_true", help="stdin says which code may run, as ListedCode writes it"
    )
    parser.add_argument("--rows", type=Path, help="below this folder the rows are kept")
    parser.add_argument("--data", help="the hash of the rows")
    return parser.parse_args(arguments)


def seeds_in(text: str) -> tuple[int, ...]:
    """Read a list of seeds.

    >>> seeds_in("0,1,12")
    (0, 1, 12)
    """
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # taking TensorFlow down costs two seconds, for which a training process would wait
