"""Checkpoints: safe loading, matching architectures, and optional pre-trained weights."""

from .load import restricted_load
from .loaders import restrict_loaders
from .match import require_match
from .pretrained import PretrainedIfPresent
from .untrusted import load_untrusted

restrict_loaders()

__all__ = [
    'PretrainedIfPresent',
    'load_untrusted',
    'require_match',
    'restrict_loaders',
    'restricted_load',
]
