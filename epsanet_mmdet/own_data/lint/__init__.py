"""Finding and repairing what would stop or spoil a training, in data sets of any format."""

from .run import CheckedData, check_dataset

__all__ = ['CheckedData', 'check_dataset']
