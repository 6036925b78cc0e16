"""Initialising EPSANets from the weights of ResNets, without their training data."""

from ..moved import renamed
from .command import Transplant, run_transplant
from .fit import FitSettings
from .heads import is_detector
from .methods import METHODS, transplant
from .reconstruction import StageReconstruction, measure_reconstruction, reconstruction_table

__all__ = [
    'METHODS',
    'FitSettings',
    'StageReconstruction',
    'Transplant',
    'is_detector',
    'measure_reconstruction',
    'reconstruction_table',
    'run_transplant',
    'transplant',
]
__getattr__ = renamed(
    __name__,
    StageResponse='weight_transfer.reconstruction.StageReconstruction',
    response_kept='weight_transfer.reconstruction.measure_reconstruction',
    response_table='weight_transfer.reconstruction.reconstruction_table',
)
