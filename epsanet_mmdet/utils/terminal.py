"""Protection of the terminal against control characters in untrusted names.

Escape sequences in the name of a category or file could hide lines, change the window title or
write to the clipboard; bidirectional overrides could reorder the text.
"""

import re
import sys
from typing import Iterable, TextIO

# C0 without tab and line feed, DEL, C1, line and paragraph separators, and bidirectional controls.
CONTROLS = '\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069'
# The coloured levels of mmengine's log are the only escape sequences that are allowed.
LEVEL = r'(?:\x1b\[(?:4|5|[39][0-7])m)+(?:DEBUG|INFO|WARNING|ERROR)\x1b\[0m'
_FOUND = re.compile(f'({LEVEL})|[{CONTROLS}]')


def without_controls(text: str) -> str:
    """Return a text with control characters other than tab and line feed escaped.

    A leading carriage return is kept, since progress bars start with one.
    """
    kept = '\r' if text.startswith('\r') else ''
    escaped = _FOUND.sub(lambda found: found[1] or repr(found[0])[1:-1], text[len(kept) :])
    return kept + escaped


class GuardedStream:
    """A text stream that escapes control characters.

    Args:
        stream: The stream to write to.
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
    """Escape control characters in everything that this process prints and logs from now on.

    Call it before anything is logged, since log handlers keep their stream. Characters that the
    encoding of the terminal lacks are escaped too, instead of raising an error.
    """
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, GuardedStream):
            continue
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')
        setattr(sys, name, GuardedStream(stream))
