"""Hooks for mmengine's Runner."""

from .checkpoint_match import CheckpointMatchHook

__all__ = ['CheckpointMatchHook']
