"""Weights as safetensors, written and read."""

import json

import pytest
import safetensors.torch
import torch

from epsanet_mmdet.checkpoints import load_untrusted
from epsanet_mmdet.checkpoints.safetensors_files import read_tensors, write_weights
from epsanet_mmdet.errors import CheckpointError

META = dict(dataset_meta=dict(classes=['a', 'b']), epoch=3)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_both_forms_hold_the_same(suffix, tmp_path):
    base = torch.randn(4, 4)
    tensors = dict(whole=base, row=base[1], turned=base.t(), tied=base, count=torch.tensor(3))
    write_weights(tensors, META, tmp_path / f'a{suffix}')
    loaded = load_untrusted(tmp_path / f'a{suffix}')
    assert loaded['meta'] == META and loaded['state_dict'].keys() == tensors.keys()
    assert all(loaded['state_dict'][name].equal(value) for name, value in tensors.items())


def test_what_others_wrote_has_no_meta(tmp_path):
    for metadata in (None, {'format': 'pt'}, {'meta': 'not JSON'}, {'meta': json.dumps([1])}):
        safetensors.torch.save_file({'w': torch.ones(1)}, tmp_path / 'a.safetensors', metadata)
        loaded = load_untrusted(tmp_path / 'a.safetensors')
        assert loaded == dict(meta={}, state_dict={'w': torch.ones(1)})


def test_tensors_stay_when_the_file_changes(tmp_path):
    path = tmp_path / 'a.safetensors'
    write_weights({'w': torch.arange(100000.0)}, {}, path)
    tensors, _ = read_tensors(path)
    with open(path, 'r+b') as file:
        file.truncate(10)
    assert tensors['w'].equal(torch.arange(100000.0))


@pytest.mark.parametrize('content', [b'', b'{}', b'PK\x03\x04', b'\xff' * 100])
def test_damaged_ones_are_named(content, tmp_path):
    (tmp_path / 'a.safetensors').write_bytes(content)
    with pytest.raises(CheckpointError, match='a.safetensors is damaged') as caught:
        load_untrusted(tmp_path / 'a.safetensors')
    assert '\n' not in str(caught.value)
