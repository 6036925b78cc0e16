"""Writing a config for your own data."""

from .create import new_config
from .switches import AUGMENTATIONS, TRACKERS, Switches

__all__ = ['AUGMENTATIONS', 'TRACKERS', 'Switches', 'new_config']
