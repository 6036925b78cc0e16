"""A local web page to try a detector."""

from .run import serve

__all__ = ['serve']
