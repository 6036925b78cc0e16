"""Where whole models that were pickled look for the convolutions of PSA's branches."""

from torch.nn import Conv2d as GroupedConv2d

__all__ = ['GroupedConv2d']
