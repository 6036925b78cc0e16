"""Checkpoints in the layouts that projects publish and mmengine saves all load."""

import argparse
import datetime
import pathlib
from collections import OrderedDict

import numpy as np
import pytest
import torch
from forked_reader import forked_child  # noqa: F401
from mmengine.logging import HistoryBuffer
from torch import nn

from epsanet_mmdet.checkpoint import load_untrusted, restricted_load
from epsanet_mmdet.checkpoint.weight_files import read_weights


def network():
    return nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 4, 3), bn1=nn.BatchNorm2d(4)))


def trained(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model(torch.ones(2, 3, 4, 4)).sum().backward()
    optimizer.step()
    return optimizer


def mmdet2(model):
    """Return a checkpoint of mmcv 1."""
    return dict(
        meta=dict(
            env_info='sys.platform: linux', config="model = dict(type='FasterRCNN')\n", seed=None,
            exp_name='faster_rcnn.py', epoch=12, iter=87960, mmdet_version='2.28.2',
            CLASSES=('a', 'b'), PALETTE=[(220, 20, 60), (119, 11, 32)], time='Wed Mar  1 12:00',
            hook_msgs=dict(best_score=np.float64(0.374), best_ckpt='epoch_12.pth', last_ckpt=None),
        ),
        state_dict=model.state_dict(),
        optimizer=trained(model).state_dict(),
    )  # fmt: skip


def mmdet3(model, amp=False):
    """Return a checkpoint of mmengine, with the message hub and the loss scale."""
    optimizer = trained(model).state_dict()
    if amp:
        optimizer['loss_scaler'] = dict(
            scale=65536.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000,
            _growth_tracker=3,
        )  # fmt: skip
    return dict(
        meta=dict(
            epoch=np.int64(3), iter=300, cfg='model = dict()\n', seed=1, experiment_name='a',
            time='20240229_123001', mmengine_version='0.10.7',
            dataset_meta=dict(classes=('a', np.str_('b')), palette=np.array([[1, 2, 3]])),
        ),
        state_dict=model.state_dict(),
        message_hub=dict(
            log_scalars={'train/loss': HistoryBuffer([np.float32(1), 2.0], [1, 1])},
            runtime_info=dict(
                cfg='model = dict()\n', iter=300, best_score=np.float64(0.5), loop=None,
                dataset_meta=dict(classes=('a', 'b')), last_ckpt=pathlib.Path('a/iter_300.pth'),
                started=datetime.datetime(2024, 2, 29), names=np.array(['a', 'bc']),
            ),
            resumed_keys={'train/loss': True},
        ),
        optimizer=optimizer,
        param_schedulers=[dict(base_values=[0.1], last_step=300, verbose=False)],
    )  # fmt: skip


def ema(model):
    average = torch.optim.swa_utils.AveragedModel(model)
    return dict(mmdet3(model), ema_state_dict=average.state_dict())


ARGUMENTS = argparse.Namespace(lr=1e-4, output_dir=pathlib.PurePosixPath('out'), device='cuda')
SHAPES = {
    'torchvision': lambda model: model.state_dict(),
    'mmdet 2': mmdet2,
    'mmdet 3': mmdet3,
    'mmdet 3 with AMP': lambda model: mmdet3(model, amp=True),
    'mmdet 3 with EMA': ema,
    'a published mmdet 3': lambda model: dict(
        meta=dict(dataset_meta=dict(CLASSES=('a',))), state_dict=model.state_dict()
    ),
    'timm': lambda model: dict(
        epoch=99, arch='resnet50', state_dict=model.state_dict(), args=ARGUMENTS, version=2,
        optimizer=trained(model).state_dict(), metric=np.float64(79.1), amp_scaler={},
    ),
    'DETR': lambda model: dict(
        model=model.state_dict(), optimizer=trained(model).state_dict(), epoch=499,
        lr_scheduler=dict(step_size=400), args=ARGUMENTS,
    ),
    'MAE': lambda model: dict(model=model.state_dict(), args=ARGUMENTS, scaler={}),
    'Lightning': lambda model: {
        'state_dict': {f'model.{k}': v for k, v in model.state_dict().items()},
        'epoch': 3, 'callbacks': {nn.Linear: {'best': torch.tensor(1.0)}},
        'pytorch-lightning_version': '1.9', 'hyper_parameters': dict(lr=0.1), 'loops': None,
    },
    'DataParallel': lambda model: dict(
        epoch=3, arch='epsanet50', best_acc1=torch.tensor(77.5),
        state_dict={f'module.{k}': v for k, v in model.state_dict().items()},
    ),
}  # fmt: skip


@pytest.mark.usefixtures('forked_child')
@pytest.mark.parametrize(
    'shape, form',
    [(shape, 'zip') for shape in SHAPES]
    + [(shape, 'before 1.6') for shape in SHAPES if shape != 'Lightning'],
)
def test_weights_load(shape, form, tmp_path):
    model = network()
    content = SHAPES[shape](model)
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=form == 'zip')
    tensors = read_weights(tmp_path / 'a.pth').tensors
    assert all(tensors[name].equal(value) for name, value in model.state_dict().items())


@pytest.mark.usefixtures('forked_child')
def test_the_metadata_for_testing_and_inference_loads(tmp_path):
    torch.save(mmdet3(network()), tmp_path / 'a.pth')
    meta = load_untrusted(tmp_path / 'a.pth')['meta']
    assert meta['dataset_meta'] == dict(classes=('a', 'b'), palette=[[1, 2, 3]])
    assert meta['epoch'] == 3 and 'cfg' not in meta
    torch.save(mmdet2(network()), tmp_path / 'a.pth')
    assert load_untrusted(tmp_path / 'a.pth')['meta']['CLASSES'] == ('a', 'b')


@pytest.mark.parametrize('shape', [shape for shape in SHAPES if shape.startswith('mmdet 3')])
def test_a_runs_own_checkpoints_load_completely(shape, tmp_path):
    content = SHAPES[shape](network())
    torch.save(content, tmp_path / 'a.pth')
    loaded = restricted_load(tmp_path / 'a.pth')
    assert loaded.keys() == content.keys()
    info, given = (c['message_hub']['runtime_info'] for c in (loaded, content))
    assert info.pop('names').tolist() == given.pop('names').tolist()
    given.pop('cfg', None)
    assert info == given
    states = (c['optimizer'].get('state') for c in (loaded, content))
    for found, wanted in zip(*(state.values() for state in states)):
        assert all(found[name].equal(value) for name, value in wanted.items())
