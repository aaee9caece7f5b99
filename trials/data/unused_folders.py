"""Which folders of what can be made again go, where they take too much room?"""

import shutil
from pathlib import Path


def forget_unused(root: Path, most_bytes: int, but: Path) -> None:
    """Remove whole folders below `root`, longest unused first, until the rest fits."""
    folders = sorted(
        (folder for folder in root.iterdir() if folder.is_dir()), key=lambda one: one.stat().st_mtime
    )
    sizes = {folder: sum(file.stat().st_size for file in folder.glob("*.np[yz]")) for folder in folders}
    for folder in folders:
        if sum(sizes.values()) <= most_bytes:
            return
        if folder != but:
            del sizes[folder]
            shutil.rmtree(folder, ignore_errors=True)  # who reads there now makes them again
