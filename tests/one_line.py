"""Messages of errors, which are one line."""

from typing import Callable, Type

import pytest


def error_line(kind: Type[Exception], function: Callable, *args, **kwargs) -> str:
    """Return the message of the error that a call raises, after checking that it is one line."""
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert '\n' not in message
    return message
