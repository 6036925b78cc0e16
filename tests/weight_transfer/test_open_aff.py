"""The AFF authors' networks convert completely and compute what their code does."""

import pytest
import torch
from gluon_files import Network, write_params
from mmdet.registry import MODELS
from one_line import error_line
from open_aff_network import features

from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.weight_transfer.conversion import convert_weights


def backbone(kind: str, resnext: bool) -> dict:
    name = 'AFFResNeXt' if resnext else 'AFFResNet'
    return dict(type=name, depth=50, fusion=('add', 'add', kind, kind))


@pytest.mark.parametrize('resnext', [False, True], ids=['resnet', 'resnext'])
@pytest.mark.parametrize('kind', ['aff', 'iaff'])
def test_loads_whole_and_computes_the_same(kind, resnext, tmp_path):
    state = Network(kind == 'iaff', resnext).tensors
    source = write_params(state, tmp_path / 'authors.params')
    target = backbone(kind, resnext)
    assert convert_weights(source, tmp_path / 'out.pth', backbone=target).comparison.complete

    model = MODELS.build(target)
    converted = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    missing, unexpected = model.load_state_dict(converted, strict=False)
    assert not unexpected and all(name.endswith('num_batches_tracked') for name in missing)
    model.double().eval()
    x = torch.randn(2, 3, 70, 96, dtype=torch.double)  # of no size that hides how pooling pads
    expected = features({name: value.double() for name, value in state.items()}, x)
    with torch.no_grad():
        for ours, theirs in zip(model(x), expected):
            torch.testing.assert_close(ours, theirs)


def test_half_precision_as_they_were_trained_is_read(tmp_path):
    state = Network(iterative=False, resnext=False).tensors
    half = {name: v.half() if v.ndim > 1 else v for name, v in state.items()}
    source = write_params(half, tmp_path / 'half.params')
    convert_weights(source, tmp_path / 'out.pth', backbone=backbone('aff', resnext=False))
    converted = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    given = half['layer4.2.conv3.weight'].float()
    assert converted['layer4.2.conv3.weight'].equal(given)


def test_fusions_of_the_other_kind_are_left_out_and_reported(tmp_path):
    source = write_params(Network(iterative=True, resnext=False).tensors, tmp_path / 'a.params')
    target = backbone('aff', resnext=False)
    comparison = convert_weights(source, tmp_path / 'out.pth', backbone=target).comparison
    assert comparison.missing and all('.fusion.' in name for name in comparison.missing)
    assert all('.fusion.' in name for name in comparison.unexpected)


def test_the_resnext_is_refused_for_a_resnet(tmp_path):
    source = write_params(Network(iterative=False, resnext=True).tensors, tmp_path / 'a.params')
    target = backbone('aff', resnext=False)
    message = error_line(
        CheckpointError, convert_weights, source, tmp_path / 'out.pth', backbone=target
    )
    assert 'a.params' in message and 'ResNeXt-50' in message
