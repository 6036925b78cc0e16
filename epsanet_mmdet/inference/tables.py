"""JSON and CSV files that are complete after each addition, however the process ends."""

import csv
import io
import json
from pathlib import Path
from typing import Iterable, Sequence

from ..utils.text import csv_row

CSV_HEADER = ('image', 'frame', 'class', 'score', 'x1', 'y1', 'x2', 'y2', 'mask_area')


class GrowingFile:
    """A file whose tail moves: each addition overwrites the tail and appends it again.

    Nothing is buffered. Only a process that is killed during a write, which takes microseconds,
    leaves an incomplete addition; another process that reads meanwhile may see half of one.

    Args:
        path: File to create. An existing file is unlinked, so that no link is written through.
        head: Beginning of the file.
        tail: End of the file.

    Raises:
        OSError: If the file cannot be written; earlier additions stay complete.
    """

    def __init__(self, path: Path, head: bytes = b'', tail: bytes = b'') -> None:
        path.unlink(missing_ok=True)
        self.file = open(path, 'xb', buffering=0)
        self.end, self.tail = 0, tail
        self.append(head)

    def append(self, content: bytes) -> None:
        try:
            self._write(content + self.tail)
        except OSError:  # such as a full disk: restore the last complete content
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
    """A JSON list, or an object that ends with a list.

    Args:
        path: See :class:`GrowingFile`.
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
    """A CSV table of detections; text that a spreadsheet would read as a formula is escaped."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.extend([CSV_HEADER])

    def extend(self, rows: Iterable[Sequence]) -> None:
        text = io.StringIO(newline='')
        csv.writer(text).writerows(map(csv_row, rows))
        self.append(text.getvalue().encode(errors='backslashreplace'))
