"""Reading a stranger's config as pure data: what would run code is refused, by file and line."""

from .read import find_code, load_pure_config

__all__ = ['find_code', 'load_pure_config']
