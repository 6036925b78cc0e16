"""Files that are whole after every addition, in whatever way the process ends later."""

import csv
import io
import json
from pathlib import Path
from typing import Iterable, Sequence

from ..utils.spreadsheet import csv_row

CSV_HEADER = ('image', 'frame', 'class', 'score', 'x1', 'y1', 'x2', 'y2', 'mask_area')


class GrowingFile:
    """A file with an end that moves: an addition overwrites it and brings it again.

    Nothing waits in memory. Only a process that is killed within the write, which takes
    microseconds, leaves the addition torn.

    Args:
        path: Made anew; what was there under this name is never written to.
        head: How it begins.
        tail: How it ends.

    Raises:
        OSError: If it cannot be written; what was added before stays whole.
    """

    def __init__(self, path: Path, head: bytes = b'', tail: bytes = b'') -> None:
        path.unlink(missing_ok=True)
        self.file = open(path, 'xb', buffering=0)
        self.end, self.tail = 0, tail
        self.append(head)

    def append(self, content: bytes) -> None:
        try:
            self._write(content + self.tail)
        except OSError:  # such as a full disk: back to what was whole
            self._write(self.tail)
            self.file.truncate(self.end + len(self.tail))
            raise
        self.end += len(content)

    def close(self) -> None:
        self.file.close()

    def _write(self, content: bytes) -> None:
        self.file.seek(self.end)
        while content:
            content = content[self.file.write(content) :]


class JsonList(GrowingFile):
    """A JSON list, or an object with a list at its end.

    Args:
        path: As of :class:`GrowingFile`.
        before: Text before the list.
        after: Text after the list.
    """

    def __init__(self, path: Path, before: str = '', after: str = '') -> None:
        super().__init__(path, f'{before}['.encode(), f'\n]{after}\n'.encode())
        self.separator = '\n'

    def extend(self, entries: Iterable[dict]) -> None:
        texts = [json.dumps(entry) for entry in entries]
        if texts:
            self.append((self.separator + ',\n'.join(texts)).encode())
            self.separator = ',\n'


class CsvTable(GrowingFile):
    """A table whose text cells no spreadsheet takes for a formula: these get an apostrophe."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.extend([CSV_HEADER])

    def extend(self, rows: Iterable[Sequence]) -> None:
        text = io.StringIO(newline='')
        csv.writer(text).writerows(map(csv_row, rows))
        self.append(text.getvalue().encode(errors='backslashreplace'))
