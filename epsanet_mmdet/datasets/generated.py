"""Folders of generated data: drawn again for other settings, and never in place of other files."""

import json
from pathlib import Path
from typing import Any, Dict, Iterable

from ..errors import DataError
from ..utils.files import read_text
from ..utils.storage import write_json


def is_complete(stamp: Path, settings: Dict[str, Any], outputs: Iterable[Path]) -> bool:
    """Return True if a folder has the data of these settings.

    Args:
        stamp: File that :func:`write_stamp` writes into the folder.
        settings: What the data depend on, as JSON values.
        outputs: Files and folders that will be replaced.

    Raises:
        DataError: If one of them exists, and is not of data that were generated earlier.
    """
    found = _read(stamp)
    if not found.keys() >= settings.keys():
        for path in (stamp, *outputs):
            if path.exists():
                raise DataError(f"'{path}' exists and was not generated; choose another folder")
    return found == dict(settings, complete=True)


def write_stamp(stamp: Path, settings: Dict[str, Any], complete: bool) -> None:
    """Write which data a folder has, or is about to have."""
    write_json(dict(settings, complete=complete), stamp)


def _read(stamp: Path) -> Dict[str, Any]:
    try:
        content = json.loads(read_text(stamp))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
