"""Files that are written whole or not at all."""

import json
from pathlib import Path
from typing import Any, Optional

from ..errors import DataError, StorageError
from ..utils.storage import write_whole


def write_text(path: Path, text: str) -> None:
    """Write a file whole: a reader, or a run after a crash, sees the old content or the new.

    Raises:
        DataError: If it cannot be written, on a full disk for one; the old content stays.
    """
    try:
        write_whole(text.encode(), path)
    except StorageError as error:
        raise DataError(
            f'{error}; nothing that was finished is lost, run the same command again then'
        )
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror}")


def write_json(path: Path, content: Any) -> None:
    """Write JSON as :func:`write_text` does."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + '\n')


def read_json(path: Path) -> Optional[Any]:
    """Read JSON; None if there is no such file.

    Raises:
        DataError: If it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read ({error}); remove it to do its job again")
