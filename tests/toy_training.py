"""A training of one second: random data, dropout, batch norm, momentum, and the shipped hooks."""

import random
from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

from epsanet_mmdet.config.load import configs_dir

IMAGES = 14
EPOCHS = 3
EPOCH_LENGTH = 4  # IMAGES in batches of 4, the last one smaller


@DATASETS.register_module()
class NoisyData(torch.utils.data.Dataset):
    """Samples augmented with the random numbers of Python, NumPy and torch."""

    metainfo = dict(classes=('a', 'b', 'c'))

    def __init__(self, count: int = IMAGES) -> None:
        self.count = count
        self.loaded = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Dict[str, Any]:
        self.loaded.append(i)
        noise = random.random() + np.random.rand() + torch.rand(4)
        return dict(inputs=noise + i, data_samples=f'image {i}.jpg')


@MODELS.register_module()
class ToyModel(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():  # the same weights, whatever the run's seed
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)
            )

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.layers(torch.stack(list(inputs)))
        return dict(loss=out.square().mean()) if mode == 'loss' else out


@MODELS.register_module()
class ValidatedToy(ToyModel):
    """A model with a validation step, to be scored by :class:`GivenScores`."""

    def val_step(self, data):
        return [BaseDataElement()]


@METRICS.register_module()
class GivenScores:
    """A metric with results from ``scores``, one per validation; 0.5 once they are used up."""

    scores: List[Any] = []

    def __init__(self, **_: Any) -> None:
        self.dataset_meta = None
        self.prefix = None

    def process(self, *args, **kwargs) -> None:
        pass

    def evaluate(self, size: int) -> Dict[str, float]:
        score = GivenScores.scores.pop(0) if GivenScores.scores else 0.5
        return score if isinstance(score, dict) else dict(acc=score)


VALIDATED = dict(  # options of toy_config for a validation after each epoch
    val_dataloader=dict(
        dataset=dict(type='NoisyData', count=2), sampler=dict(type='DefaultSampler')
    ),
    val_cfg=dict(type='ValLoop'),
    val_evaluator=dict(type='GivenScores'),
    model__type='ValidatedToy',
)


def toy_config(work_dir: Path, **options) -> Config:
    """Return the config of a run with the hooks of configs/_base_/default_runtime.py.

    Args:
        work_dir: Its folder.
        **options: Overrides; ``__`` stands for a dot.
    """
    config = Config.fromfile(configs_dir() / '_base_' / 'default_runtime.py')
    config.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            model=dict(type='ToyModel'),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                persistent_workers=False,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(type='NoisyData'),
            ),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=EPOCHS),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
                dict(type='MultiStepLR', by_epoch=True, milestones=[1, 2], gamma=0.5),
            ],
            log_level='ERROR',
            experiment_name=str(work_dir).replace('/', '_'),
            visualizer=dict(type='Visualizer', vis_backends=[], _delete_=True),
        )
    )
    config.merge_from_dict(
        {key.replace('__', '.'): deepcopy(value) for key, value in options.items()}
    )
    return config


def toy_runner(work_dir: Path, **options) -> Runner:
    """Build the run of :func:`toy_config`."""
    with mock.patch('mmengine.runner.runner.collect_env', dict):  # which runs compilers
        return Runner.from_cfg(toy_config(work_dir, **options))


def weights(runner: Runner) -> Dict[str, torch.Tensor]:
    """Return a copy of a run's parameters and buffers."""
    return {name: value.clone() for name, value in runner.model.state_dict().items()}
