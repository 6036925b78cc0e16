"""Initialising EPSANets from the weights of ResNets, without their training data."""

import warnings
from typing import Any

from . import reconstruction
from .command import Transplant, run_transplant
from .fit import FitSettings
from .methods import METHODS, transplant
from .reconstruction import StageReconstruction, measure_reconstruction, reconstruction_table

__all__ = [
    'METHODS',
    'FitSettings',
    'StageReconstruction',
    'Transplant',
    'measure_reconstruction',
    'reconstruction_table',
    'run_transplant',
    'transplant',
]
RENAMED = {
    'StageResponse': 'StageReconstruction',
    'response_kept': 'measure_reconstruction',
    'response_table': 'reconstruction_table',
}


def __getattr__(name: str) -> Any:
    if name not in RENAMED:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    warnings.warn(f'{name} is now {RENAMED[name]}', DeprecationWarning, stacklevel=2)
    return getattr(reconstruction, RENAMED[name])
