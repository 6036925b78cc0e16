"""Failures of passes as errors of one line."""

from contextlib import contextmanager
from typing import Iterator

import torch

from ..errors import ConfigError, UserError
from .passes import Input


@contextmanager
def naming(network: str, task: str, size: Input) -> Iterator[None]:
    """Name the network, the task and the size in the error of a pass.

    Raises:
        ConfigError: If the pass fails.
    """
    try:
        yield
    except UserError:
        raise
    except torch.OutOfMemoryError:
        raise ConfigError(
            f'{network} runs out of memory in {task} at {size}; use a smaller batch or image'
        )
    except (RuntimeError, ValueError) as error:  # too small for a norm, cannot be captured, ...
        raise ConfigError(f'{network} fails in {task} at {size}: {reason(error)}')


def reason(error: Exception) -> str:
    """Return the class of an error and its first line, with the next if that only announces it."""
    first, *rest = f'{type(error).__name__}: {error}'.splitlines()
    return f'{first} {rest[0].strip()}' if first.endswith(':') and rest else first
