"""Showing what the training sees: images and annotations behind the pipeline of a config."""

from .run import browse

__all__ = ['browse']
