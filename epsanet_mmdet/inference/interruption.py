"""Deferred handling of Ctrl-C and SIGTERM, so that the current work is finished."""

import signal
import sys
from typing import Any, Dict, Iterable, Iterator, Optional, TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Item = TypeVar('Item')


class Interruption:
    """Context manager that records the first Ctrl-C or SIGTERM; the second acts as usual.

    Outside the main thread, where Python allows no signal handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.received: Optional[int] = None
        self._handlers: Dict[int, Any] = {}

    def __enter__(self) -> 'Interruption':
        for number in SIGNALS:
            try:
                self._handlers[number] = signal.signal(number, self._record)
            except ValueError:
                break
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def until(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items until a signal has been received."""
        for item in items:
            if self.received:
                return
            yield item

    def end(self, message: str) -> None:
        """End with a message if a signal has been received.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After SIGTERM, with status 143.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if self.received:
            print(message, file=sys.stderr)
            raise SystemExit(128 + self.received)

    def _record(self, number: int, _) -> None:
        self.received = number
        self.__exit__()
