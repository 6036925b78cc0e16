"""Dynamic multi-kernel ECA keeps the parameter names of its checkpoints."""

from epsanet_mmdet.layers import DynamicMultiKernelECA2d


def test_has_the_parameter_names_of_its_checkpoints():
    shapes = {name: tuple(p.shape) for name, p in DynamicMultiKernelECA2d(64).named_parameters()}
    assert shapes == {
        'conv3.weight': (64, 1, 3),
        'conv5.weight': (64, 1, 5),
        'conv7.weight': (64, 1, 7),
        'fc.weight': (3, 64),
        'fc.bias': (3,),
    }
