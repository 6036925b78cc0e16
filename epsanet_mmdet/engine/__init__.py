"""Running mmdet: hooks, reproducible batches, several processes, a brief Runner."""

from . import hooks, runner  # noqa: F401
