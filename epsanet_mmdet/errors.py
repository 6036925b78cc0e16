"""Errors that a user can fix: one line that names the thing and the remedy.

The command line tools print them without a traceback and exit with status 1.
"""


class UserError(Exception):
    """Base class of the errors below."""


class ArgumentError(UserError, ValueError):
    """Arguments of a layer or backbone that do not fit together."""


class ConfigError(UserError):
    """A config that cannot be found or cannot work."""


class DataError(UserError):
    """A data set that cannot be read."""


class CheckpointError(UserError):
    """A checkpoint that cannot be read, is refused, or is of another model."""


class StorageError(UserError):
    """A folder that cannot be written to."""


class NonFiniteError(UserError):
    """A training whose loss or weights have become NaN or infinite."""


class ExpectationError(UserError):
    """A measured ratio above the one expected."""


class DifferenceError(UserError):
    """A deployed network that does not compute what the trained one does."""


class ExtraError(UserError):
    """An optional package that is not installed."""
