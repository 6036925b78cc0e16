"""Weights are read from every published layout; any other file is refused in one line."""

import pytest
import safetensors.torch
import torch
from forked_reader import forked_child  # noqa: F401
from one_line import error_line

from epsanet_mmdet.checkpoint.weight_files import read_weights
from epsanet_mmdet.errors import CheckpointError

pytestmark = pytest.mark.usefixtures('forked_child')
STATE = {'conv1.weight': torch.arange(4.0).view(2, 2), 'fc.bias': torch.ones(2)}


def refusal(path) -> str:
    return error_line(CheckpointError, read_weights, path)


def read(content, path):
    torch.save(content, path)
    return read_weights(path)


def prefixed(prefix):
    return {prefix + name: value for name, value in STATE.items()}


def others():
    return {name: value + 9 for name, value in STATE.items()}


@pytest.mark.parametrize(
    'content',
    [
        STATE,
        dict(state_dict=STATE),
        dict(model=STATE),
        dict(epoch=3, arch='epsanet50', state_dict=prefixed('module.'), best_prec1=1.0),
        dict(state_dict=prefixed('module.backbone.'), meta={}, message_hub={}),
        dict(state_dict={**prefixed('backbone.'), 'neck.weight': torch.ones(1)}),
        dict(state_dict=prefixed('_orig_mod.')),
        dict(state_dict=prefixed('module._orig_mod.')),
        dict(state_dict=prefixed('model.'), hyper_parameters=dict(lr=0.1)),
        # averaged weights come first
        dict(state_dict=others(), state_dict_ema=STATE),
        dict(model=others(), model_ema={**prefixed('module.'), 'n_averaged': torch.tensor(2)}),
        # mmengine's EMAHook saves the averaged ones as state_dict
        dict(state_dict=prefixed('backbone.'), ema_state_dict=others()),
    ],
    ids=lambda content: ' '.join(content)[:40],
)
def test_weights_are_found_and_prefixes_of_wrappers_dropped(content, tmp_path):
    tensors = read(content, tmp_path / 'file.pth').tensors
    assert set(tensors) - {'n_averaged'} == set(STATE)
    assert all(tensors[name].equal(value) for name, value in STATE.items())


def test_the_layout_describes_the_file(tmp_path):
    content = dict(epoch=120, arch='epsanet50', state_dict=STATE)
    assert read(content, tmp_path / 'a.pth').layout == 'checkpoint of epsanet50, epoch 120'
    content = dict(state_dict=STATE, ema_state_dict=STATE, message_hub={})
    layout = read(content, tmp_path / 'b.pth').layout
    assert layout == "mmengine's checkpoint, averaged weights"


def test_neck_and_heads_of_a_detector_are_kept_apart(tmp_path):
    outside = {'neck.weight': torch.ones(1), 'head.backbone.bias': torch.ones(1).half()}
    content = dict(state_dict={**prefixed('backbone.'), **outside}, meta=dict(epoch=2))
    weights = read(content, tmp_path / 'file.pth')
    assert weights.tensors.keys() == STATE.keys() and weights.rest.keys() == outside.keys()
    assert weights.meta == dict(epoch=2) and weights.rest['head.backbone.bias'].dtype.itemsize == 4
    assert weights.of_detector and not read(STATE, tmp_path / 'plain.pth').rest


def test_a_classifier_with_a_backbone_is_not_a_detector(tmp_path):
    content = {**prefixed('backbone.'), 'head.fc.weight': torch.ones(1)}
    assert not read(content, tmp_path / 'classifier.pth').of_detector


def test_half_precision_becomes_single(tmp_path):
    half = {name: value.half() for name, value in STATE.items()}
    assert all(v.dtype == torch.float32 for v in read(half, tmp_path / 'a.pth').tensors.values())


def test_reads_safetensors(tmp_path):
    safetensors.torch.save_file(prefixed('backbone.'), tmp_path / 'weights.safetensors')
    weights = read_weights(tmp_path / 'weights.safetensors')
    assert weights.layout == 'safetensors'
    assert all(weights.tensors[name].equal(value) for name, value in STATE.items())


@pytest.mark.parametrize('damage', ['cut', 'text', 'empty'])
def test_damaged_safetensors_are_named(damage, tmp_path):
    path = tmp_path / 'weights.safetensors'
    safetensors.torch.save_file(STATE, path)
    content = path.read_bytes()
    path.write_bytes({'cut': content[:-5], 'text': b'<html>' * 9, 'empty': b''}[damage])
    message = refusal(path)
    assert 'weights.safetensors' in message and 'damaged' in message


@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(share, tmp_path):
    path = tmp_path / 'cut.pth'
    torch.save(dict(state_dict=STATE), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert 'cut.pth' in refusal(path)


def test_a_missing_file_is_named(tmp_path):
    assert 'absent.pth' in refusal(tmp_path / 'absent.pth')


@pytest.mark.parametrize(
    'content',
    [{}, dict(a=1), [1, 2], [torch.ones(1)], dict(state_dict={}), 'text', 3, None, b'raw',
     dict(inner=dict(inner=dict(w=torch.ones(1)))), {1: torch.ones(1)}, {('a',): torch.ones(1)},
     torch.ones(2), dict(state_dict=['a']), dict(model='name')],
    ids=lambda content: str(content)[:30],
)  # fmt: skip
def test_a_file_without_weights_is_named(content, tmp_path):
    torch.save(content, tmp_path / 'none.pth')
    message = refusal(tmp_path / 'none.pth')
    assert 'none.pth' in message and 'no weights' in message


def test_a_folder_is_named(tmp_path):
    assert str(tmp_path) in refusal(tmp_path)


def test_complex_numbers_are_named(tmp_path):
    complex_numbers = {'conv1.weight': torch.ones(2, dtype=torch.complex64)}
    torch.save(complex_numbers, tmp_path / 'a.pth')
    safetensors.torch.save_file(complex_numbers, tmp_path / 'b.safetensors')
    for name in ('a.pth', 'b.safetensors'):
        message = refusal(tmp_path / name)
        assert 'complex' in message and 'conv1.weight' in message


@pytest.mark.parametrize('kind', [torch.bfloat16, torch.float8_e4m3fn, torch.float64], ids=str)
def test_other_precisions_become_single(kind, tmp_path):
    tensors = read({'w': torch.ones(3, dtype=kind), 'zero': torch.tensor(1.0)}, tmp_path / 'a.pth')
    assert all(value.dtype == torch.float32 for value in tensors.tensors.values())
