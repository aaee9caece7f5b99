"""How is each command typed? One line for each, below its --help."""

from collections.abc import Mapping
from types import MappingProxyType

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "init": "init --name wine --task classification",
        "check": "check my_problem.py",
        "plan": "plan my_problem.py --trials 96",
        "launch": "launch my_problem.py --optimizers sgd,adam --trials 24",
        "resume": "resume digits --trials +24",
        "worker": "worker digits --max-trials 10",
        "scale": "scale digits 16",
        "pause": "pause digits",
        "stop": "stop digits",
        "report": "report digits --html report.html",
        "status": "status digits --watch",
        "logs": "logs digits --follow",
        "trials": "trials digits --optimizer adam --sort value --limit 5",
        "show": "show digits 31",
        "compare": "compare digits wine",
        "export": "export digits digits.zip",
        "studies": "studies --json",
        "optimizers": "optimizers my_optimizers.py:MyMomentum",
        "ui": "ui digits --port 5000",
        "sync": "sync digits --check",
        "delete": "delete digits",
        "db status": "db status --json",
        "db upgrade": "db upgrade",
        "db stop": "db stop",
        "db grant": "db grant trainer",
        "db url": "db url --optuna --show-password",
        "db backup": "db backup studies.tar",
        "db restore": "db restore studies.tar",
    }
)


def example_of(command: str) -> str | None:
    """What stands below a command's options."""
    return f"Example: optselect {EXAMPLES[command]}" if command in EXAMPLES else None
