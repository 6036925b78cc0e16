"""Weights written as safetensors are read back with their metadata and module versions."""

import json

import pytest
import safetensors.torch
import torch
from torch import nn

from epsanet_mmdet.checkpoint import load_untrusted
from epsanet_mmdet.checkpoint.safetensors_files import read_tensors, write_weights
from epsanet_mmdet.errors import CheckpointError

META = dict(dataset_meta=dict(classes=['a', 'b']), epoch=3)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_both_formats_hold_the_same(suffix, tmp_path):
    base = torch.randn(4, 4)
    tensors = dict(whole=base, row=base[1], transposed=base.t(), tied=base, count=torch.tensor(3))
    write_weights(tensors, META, tmp_path / f'a{suffix}')
    loaded = load_untrusted(tmp_path / f'a{suffix}')
    assert loaded['meta'] == META and loaded['state_dict'].keys() == tensors.keys()
    assert all(loaded['state_dict'][name].equal(value) for name, value in tensors.items())


class Renames(nn.Module):
    """Rename tensors of a ``state_dict`` without a version, like mmdet's anchor-free heads."""

    _version = 1

    def __init__(self):
        super().__init__()
        self.vfnet_cls = nn.Conv2d(1, 1, 1)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get('version') is None:
            for name in [name for name in state_dict if name.startswith(prefix)]:
                state_dict[name.replace('vfnet_cls', 'conv_cls')] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_versions_of_modules_are_kept(suffix, tmp_path):
    given, taken = nn.Sequential(Renames()), nn.Sequential(Renames())
    write_weights(given.state_dict(), {}, tmp_path / f'a{suffix}')
    taken.load_state_dict(load_untrusted(tmp_path / f'a{suffix}')['state_dict'])
    assert taken[0].vfnet_cls.weight.equal(given[0].vfnet_cls.weight)


@pytest.mark.parametrize('forged', [3, 'x', {'': 3}, {'': {'version': 'x'}}, {3: {'version': 1}}])
def test_forged_versions_are_left_out(forged, tmp_path):
    state = nn.Linear(1, 1).state_dict()
    state._metadata = forged
    torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    nn.Linear(1, 1).load_state_dict(load_untrusted(tmp_path / 'a.pth')['state_dict'])


def test_files_of_other_tools_have_no_meta(tmp_path):
    for metadata in (None, {'format': 'pt'}, {'meta': 'not JSON'}, {'meta': json.dumps([1])}):
        safetensors.torch.save_file({'w': torch.ones(1)}, tmp_path / 'a.safetensors', metadata)
        loaded = load_untrusted(tmp_path / 'a.safetensors')
        assert loaded == dict(meta={}, state_dict={'w': torch.ones(1)})


def test_tensors_do_not_change_with_the_file(tmp_path):
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
