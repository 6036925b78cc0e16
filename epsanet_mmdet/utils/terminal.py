"""The edge to the terminal: no name in a file can steer it.

Escape sequences of a category's or a file's name could hide lines, retitle the window or write to
the clipboard, and bidirectional overrides could reorder what is shown.
"""

import re
import sys
from typing import Iterable, TextIO

# C0 but tab and line feed, DEL, C1, line and paragraph separators, and bidirectional controls.
CONTROLS = '\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069'
# The coloured levels of mmengine's log are the only escape sequences that are meant.
LEVEL = r'(?:\x1b\[(?:4|5|[39][0-7])m)+(?:DEBUG|INFO|WARNING|ERROR)\x1b\[0m'
_FOUND = re.compile(f'({LEVEL})|[{CONTROLS}]')


def without_controls(text: str) -> str:
    """Spell out control characters other than tabs and line feeds, as Python writes them.

    A carriage return at the beginning, with which progress bars begin, is kept.
    """
    kept = '\r' if text.startswith('\r') else ''
    spelt = _FOUND.sub(lambda found: found[1] or repr(found[0])[1:-1], text[len(kept) :])
    return kept + spelt


class GuardedStream:
    """A text stream that spells out control characters.

    Args:
        stream: The stream that is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(without_controls(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def guard_terminal() -> None:
    """Guard what this process prints and logs from now on.

    Call it before anything logs: log handlers keep the stream that they begin with. Characters
    that the terminal's encoding lacks are spelt out too, instead of raising an error.
    """
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, GuardedStream):
            continue
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')
        setattr(sys, name, GuardedStream(stream))
