"""Training and testing with mmdet: hooks, seeding, processes, and a Runner with brief output."""

from . import hooks, runner  # noqa: F401
