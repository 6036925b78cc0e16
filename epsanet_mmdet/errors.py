"""Errors that a user can fix. Each message is one line with the cause and the remedy.

The command line tools print the message without a traceback and exit with status 1.
"""


class UserError(Exception):
    """Base class of the errors below."""


class ArgumentError(UserError, ValueError):
    """Invalid or incompatible arguments of a layer or backbone."""


class ConfigError(UserError):
    """A config that does not exist or is not valid."""


class DataError(UserError):
    """A data set that cannot be read."""


class BadImageError(DataError):
    """An image that cannot be read; the message stays one line when a data worker passes it on."""

    def __init__(self, message: str) -> None:
        last = message.strip().splitlines()[-1]  # torch prepends the worker's traceback
        super().__init__(last.split(f'{type(self).__name__}: ')[-1])


class CheckpointError(UserError):
    """A checkpoint that cannot be read, is unsafe, or belongs to another model."""


class StorageError(UserError):
    """A folder that cannot be written to."""


class NonFiniteError(UserError):
    """A loss or weights that became NaN or infinite in training."""


class ExpectationError(UserError):
    """A measured ratio above the expected one."""


class DifferenceError(UserError):
    """A deployed network whose outputs differ from those of the trained one."""


class ExtraError(UserError):
    """An optional package that is not installed."""
