"""Writing a config for a data set of one's own."""

from .command import new_config

__all__ = ['new_config']
