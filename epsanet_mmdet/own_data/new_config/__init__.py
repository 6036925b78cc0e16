"""Writing a config for your own data."""

from .create import new_config

__all__ = ['new_config']
