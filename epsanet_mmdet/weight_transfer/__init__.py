"""Making EPSANets out of ResNets' weights, without their training data."""

from .command import Transplant, run_transplant
from .fit import FitSettings
from .response import StageResponse, response_kept, response_table
from .starts import METHODS, transplant

__all__ = [
    'METHODS',
    'FitSettings',
    'StageResponse',
    'Transplant',
    'response_kept',
    'response_table',
    'run_transplant',
    'transplant',
]
