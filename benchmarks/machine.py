"""On which machine, with which versions?"""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SHOWN = ("keras", "tensorflow", "keras-tuner")


def machine_facts() -> str:
    """One line for below a table."""
    versions = ", ".join(f"{name} {_version(name)}" for name in SHOWN)
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}; "
        f"{platform.system()} {platform.machine()}; load {load:.1f} at the end.\n"
    )


def _processor() -> str:
    """The kernel's name of the processor; platform.processor() is empty on most Linux systems."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
