"""The hook has a run's whole model refuse a checkpoint of another architecture."""

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from epsanet_mmdet.engine.hooks import CheckpointMatchHook
from epsanet_mmdet.errors import CheckpointError


class Model(BaseModel):
    def __init__(self, width: int = 4):
        super().__init__()
        self.layers = nn.Sequential(*[nn.Linear(width, width) for _ in range(4)])

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return dict(loss=self.layers(inputs).sum())


def run(model, work_dir, **settings) -> Runner:
    return Runner(
        model,
        str(work_dir),
        train_dataloader=dict(
            dataset=[dict(inputs=torch.ones(4))] * 2, sampler=dict(type=DefaultSampler)
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='CheckpointMatchHook')],
        experiment_name=work_dir.name,
        log_level='WARNING',
        default_scope='mmdet',  # which outlives the run
        **settings,
    )


def test_is_registered():
    assert HOOKS.get('CheckpointMatchHook') is CheckpointMatchHook


@pytest.mark.parametrize('resume', [False, True], ids=['load_from', 'resume'])
def test_a_run_refuses_another_model_before_it_trains(resume, tmp_path):
    hub = dict(log_scalars={}, runtime_info={}, resumed_keys={})
    state = dict(state_dict=Model(5).state_dict(), meta=dict(epoch=0, iter=0), message_hub=hub)
    torch.save(state, tmp_path / 'other.pth')
    model = Model()
    before = model.layers[0].weight.clone()
    runner = run(model, tmp_path / 'run', load_from=str(tmp_path / 'other.pth'), resume=resume)
    with pytest.raises(CheckpointError, match='0 of its 8 tensors match the 8 of the model'):
        runner.train()
    assert model.layers[0].weight.equal(before)


def test_a_run_loads_its_own_model(tmp_path):
    trained = Model()
    torch.save(dict(state_dict=trained.state_dict(), meta={}), tmp_path / 'own.pth')
    runner = run(Model(), tmp_path / 'own run', load_from=str(tmp_path / 'own.pth'))
    runner.call_hook('before_run')
    runner.load_or_resume()
    assert runner.model.layers[0].weight.equal(trained.layers[0].weight)


def test_a_wrapped_model_is_checked_inside_its_wrapper():
    class Wrapped(MMDistributedDataParallel):
        def __init__(self, module):
            nn.Module.__init__(self)
            self.module = module

    class FakeRunner:
        model = Wrapped(Model())
        load_or_resume = None

    CheckpointMatchHook().before_run(FakeRunner)
    assert FakeRunner.model.module._requires_match
