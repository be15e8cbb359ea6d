"""Where temporary files lie that are written fast and often."""

import shutil
from pathlib import Path

_ROOM_BYTES = 8 << 30


def quick_folder() -> str | None:
    """A folder in memory if there is room, for what does not have to survive a power cut; None for the usual place of temporary files."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM_BYTES else None
