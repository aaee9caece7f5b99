"""What would a launch do and cost, by a rehearsal here?"""

import os
import time

from optselect.search.bundles.source import rows_folder
from optselect.search.context import Context
from optselect.search.describing.rehearsing import look_ahead, rehearse, rehearsing
from optselect.search.processes import devices
from optselect.search.processes.supervising import default_workers
from optselect.search.spec.study_spec import Request
from optselect.search.status.forecast import Forecast
from optselect.search.voice import note


def foresee(request: Request, workers: int | None, context: Context) -> Forecast:
    """Describe the problem and train each optimizer for a moment; stores nothing. Raises ProblemError, InvalidInput."""
    count = default_workers(devices.seats(devices.NO_WISH, os.environ)) if workers is None else workers
    rows = rows_folder(context.home)
    with rehearsing(request.problem) as zygote:
        began = time.monotonic()
        outlook = look_ahead(request, rows, zygote)
        start = time.monotonic() - began  # a launch does the same first
        for words in filter(None, (outlook.problem.seeds_note, outlook.problem.modules_note)):
            note(words)
        return Forecast.of(outlook.spec, rehearse(request, outlook, rows, zygote), count, start)
