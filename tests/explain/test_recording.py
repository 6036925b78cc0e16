"""A forward pass records the attention of every layer of the network, and leaves no trace."""

import pytest
import torch
from mmdet.registry import MODELS
from torch.nn import functional as F

from epsanet_mmdet.explain.recording import recorded, scales_of
from epsanet_mmdet.layers import CBAM2d, PSAModule

SIZE = (64, 96)
BOXES = torch.tensor([[0.0, 0.0, 96.0, 64.0], [8.0, 16.0, 24.0, 40.0], [90.0, 60.0, 90.5, 60.5]])
NOTHING = torch.zeros(0, 4)


def psa_by_hand(psa, x, region):
    """Return the mean weight of each kernel for a region of the features, by the formula."""
    scores = []
    for i in range(1, psa.branches + 1):
        features = getattr(psa, f'conv_{i}')(x)[..., region[0], region[1]].mean((2, 3))
        hidden = F.linear(features, psa.se.fc1.weight.flatten(1), psa.se.fc1.bias).relu()
        scores.append(F.linear(hidden, psa.se.fc2.weight.flatten(1), psa.se.fc2.bias).sigmoid())
    exponentials = torch.stack(scores).exp()
    return (exponentials / exponentials.sum(0)).mean((1, 2)).detach()


@pytest.mark.parametrize('kernels', [(3, 5, 7, 9), (3, 5, 5, 7), (1, 3)])
def test_scales_are_in_the_order_of_the_kernels_and_sum_to_1(kernels):
    psa = PSAModule(64, 64, kernels, (1,) * len(kernels))
    x = torch.randn(1, 64, 16, 24)
    with torch.no_grad():
        scales = scales_of(psa, 'name', x, BOXES, SIZE)
    assert scales.kernel_sizes == kernels
    torch.testing.assert_close(scales.image.sum(), torch.tensor(1.0))
    everywhere = (slice(0, 16), slice(0, 24))
    torch.testing.assert_close(scales.image, psa_by_hand(psa, x, everywhere))
    whole, part, dot = scales.objects
    torch.testing.assert_close(whole, scales.image)
    torch.testing.assert_close(part, psa_by_hand(psa, x, (slice(4, 10), slice(2, 6))))
    torch.testing.assert_close(dot, psa_by_hand(psa, x, (slice(15, 16), slice(22, 23))))


def test_a_box_outside_the_image_gets_the_nearest_cell():
    psa, x = PSAModule(64, 64).eval(), torch.randn(1, 64, 16, 24)
    boxes = torch.tensor([[-90.0, -90.0, -80.0, -80.0], [500.0, 500.0, 600.0, 600.0]])
    first, last = scales_of(psa, 'name', x, boxes, SIZE).objects.detach()
    torch.testing.assert_close(first, psa_by_hand(psa, x, (slice(0, 1), slice(0, 1))))
    torch.testing.assert_close(last, psa_by_hand(psa, x, (slice(15, 16), slice(23, 24))))


def backbone(**config):
    torch.manual_seed(0)
    network = MODELS.build(dict(depth=50, init_cfg=None, **config))
    network.eval()
    return network


def test_every_psa_module_is_recorded_in_order_and_the_output_stays_the_same():
    network, x = backbone(type='EPSANet'), torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        expected = network(x)
    with recorded(network, BOXES, SIZE) as record:
        output = network(x)
    torch.testing.assert_close(output, expected)
    names = [name for name, module in network.named_modules() if isinstance(module, PSAModule)]
    assert len(names) == 16 and [scales.layer for scales in record.scales] == names
    assert all(scales.objects.shape == (3, 4) for scales in record.scales)
    assert not record.gates
    assert not any(module._forward_hooks for module in network.modules())
    network(x)
    assert len(record.scales) == 16


@pytest.mark.parametrize('attention_type', ['sigmoid', 'none'])
def test_only_weights_of_a_softmax_are_weights_of_scales(attention_type):
    network = backbone(type='EPSANet', attention_type=attention_type)
    with recorded(network, BOXES, SIZE) as record:
        network(torch.randn(1, 3, *SIZE))
    assert not record.scales and not record.gates


def test_no_objects_are_no_rows():
    network = backbone(type='EPSANet', num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,))
    with recorded(network, NOTHING, SIZE) as record:
        network(torch.randn(1, 3, *SIZE))
    assert [scales.objects.shape for scales in record.scales] == [(0, 4)] * 3


@pytest.mark.parametrize(
    ('layer', 'kinds', 'has'),
    [
        ('SELayer2d', ['SELayer2d'], (True, False)),
        ('CBAM2d', ['SoftChannelAttention2d', 'SpatialAttention2d'], (True, True)),
        ('BAM2d', ['BAM2d'], (True, True)),
        ('MSCAM2d', ['MSCAMWeights'], (True, True)),
        ('CoordAttention2d', ['CoordAttention2d'], (True, True)),
        ('DualAttention2d', ['PositionAttention2d', 'ChannelAttention2d'], (True, True)),
        ('ContextBlock', ['ContextBlock'], (False, True)),
    ],
)
def test_plugins_are_recorded_by_channel_and_by_position(layer, kinds, has):
    ratio = dict(ratio=1 / 16) if layer == 'ContextBlock' else {}
    plugin = dict(
        cfg=dict(type=layer, **ratio), stages=(False, True, False, False), position='after_conv3'
    )
    network = backbone(type='ResNet', plugins=[plugin])
    with recorded(network, NOTHING, SIZE) as record:
        network(torch.randn(1, 3, *SIZE))
    assert [gate.kind for gate in record.gates] == kinds * 4
    assert all(gate.layer.startswith('layer2.') for gate in record.gates)
    channels = [gate.channels for gate in record.gates if gate.channels is not None]
    positions = [gate.positions for gate in record.gates if gate.positions is not None]
    assert (bool(channels), bool(positions)) == has
    assert all(weights.dim() == 1 for weights in channels)
    assert all(weights.shape == (8, 12) for weights in positions)


def test_means_over_positions_and_channels_are_those_of_the_weights():
    layer, x = CBAM2d(64).eval(), torch.randn(1, 64, 5, 7)
    with recorded(layer, NOTHING, SIZE) as record:
        layer(x)
    channels, positions = record.gates
    with torch.no_grad():
        expected = layer.channel.attention(x)
        torch.testing.assert_close(channels.channels, expected.flatten())
        expected = layer.spatial.attention(layer.channel(x))
        torch.testing.assert_close(positions.positions, expected[0, 0])
    assert channels.positions is None and positions.channels is None


def test_hooks_are_removed_after_an_error():
    network = backbone(type='EPSANet')
    with pytest.raises(RuntimeError, match='the user stopped'):
        with recorded(network, NOTHING, SIZE):
            raise RuntimeError('the user stopped')
    assert not any(module._forward_hooks for module in network.modules())


def test_every_depth_of_a_selection_is_recorded_by_channel():
    network, x = backbone(type='SDAResNet', base_channels=8), torch.randn(1, 3, *SIZE)
    given = []
    network.layer2.sda.register_forward_hook(lambda layer, inputs, output: given.append(inputs))
    with recorded(network, NOTHING, SIZE) as record:
        network(x)
    names = [f'layer{s}.sda.fcs.{i}' for s, n in enumerate((3, 4, 6, 3), 1) for i in range(n)]
    assert [gate.layer for gate in record.gates] == names
    assert {gate.kind for gate in record.gates} == {'SelectiveDepthAttention2d'}
    second = torch.stack([gate.channels for gate in record.gates[3:7]])
    with torch.no_grad():
        expected = network.layer2.sda.attention(*given[0])
    torch.testing.assert_close(second, expected[0, :, :, 0, 0])
