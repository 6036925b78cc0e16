"""Checkpoints: loading that runs no code, matching, and weights that may be absent."""

from .matching import require_match
from .pretrained import PretrainedIfPresent
from .safe_load import restrict_loaders, restricted_load

restrict_loaders()

__all__ = ['PretrainedIfPresent', 'require_match', 'restrict_loaders', 'restricted_load']
