"""Where do files lie that a trial's own callbacks write, such as a table of its epochs or its best weights?"""

from pathlib import Path

from optselect.storage.records.studies import StoredStudy


def files_folder(study: StoredStudy, home: Path) -> Path:
    """The files of a study's trials on this machine, each below a folder of the trial."""
    return home / "files" / f"{study.name}-{study.id}"


def folder_of_trial(study: StoredStudy, home: Path, number: int | str) -> Path:
    """The files of one trial."""
    return files_folder(study, home) / f"trial-{number}"
