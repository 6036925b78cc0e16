"""Finding and repairing faults that would stop or spoil a training, in data of any format."""

from .run import CheckedData, check_dataset

__all__ = ['CheckedData', 'check_dataset']
