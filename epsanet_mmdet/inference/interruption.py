"""Ctrl-C and SIGTERM, noted while the work in hand is finished."""

import signal
import sys
from typing import Any, Dict, Iterable, Iterator, Optional, TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Item = TypeVar('Item')


class Interruption:
    """Notes the first Ctrl-C or SIGTERM within a ``with`` block; the second acts as usual.

    Outside the main thread, where Python allows no handlers, it notes nothing.
    """

    def __init__(self) -> None:
        self.received: Optional[int] = None
        self._handlers: Dict[int, Any] = {}

    def __enter__(self) -> 'Interruption':
        for number in SIGNALS:
            try:
                self._handlers[number] = signal.signal(number, self._note)
            except ValueError:
                break
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def until(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items until a signal comes."""
        for item in items:
            if self.received:
                return
            yield item

    def end(self, message: str) -> None:
        """End as the signal wants, if one came, with one line.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After SIGTERM, with status 143.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if self.received:
            print(message, file=sys.stderr)
            raise SystemExit(128 + self.received)

    def _note(self, number: int, _) -> None:
        self.received = number
        self.__exit__()
