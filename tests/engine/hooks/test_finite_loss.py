"""A loss that is not finite stops the run before it reaches the weights."""

import json

import pytest
import torch
from mmengine.registry import MODELS
from toy_training import EPOCH_LENGTH, EPOCHS, ToyModel, toy_runner, weights

from epsanet_mmdet.checkpoint.record import find_fault
from epsanet_mmdet.engine.hooks import finite_loss
from epsanet_mmdet.errors import NonFiniteError

OPTIONS = dict(randomness=dict(seed=5), model__type='SometimesNaN')


@MODELS.register_module()
class SometimesNaN(ToyModel):
    """Return a loss that is not finite in one iteration."""

    value = float('nan')
    iteration = EPOCH_LENGTH + 1
    as_list = False

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.before = None

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = super().forward(inputs, data_samples, mode)
        if mode == 'loss':
            if self.calls == self.iteration:
                self.before = {k: v.clone() for k, v in self.named_parameters()}
                bad = out['loss'] * self.value
                out['loss_mask'] = [out['loss'], bad] if self.as_list else bad
            self.calls += 1
        return out


@pytest.mark.parametrize('as_list', [False, True])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
def test_the_run_stops_and_names_loss_iteration_and_images(value, as_list, tmp_path, monkeypatch):
    monkeypatch.setattr(SometimesNaN, 'value', value)
    monkeypatch.setattr(SometimesNaN, 'as_list', as_list)
    runner = toy_runner(tmp_path, **OPTIONS)
    with pytest.raises(NonFiniteError, match='loss_mask is .*epoch 2.*image [0-9]+.jpg') as caught:
        runner.train()
    assert f'iteration {EPOCH_LENGTH + 2} ' in str(caught.value)
    record = json.loads((tmp_path / 'nonfinite_loss.json').read_text())
    assert record['iteration'] == EPOCH_LENGTH + 2
    assert record['images'] == [
        f'image {i}.jpg' for i in runner.train_dataloader.dataset.loaded[18:]
    ]
    assert set(record['losses'][0]) == {'loss', 'loss_mask'}


def test_all_processes_wait_for_the_one_that_saves(tmp_path, monkeypatch):
    """Launchers end all processes of a job soon after the first of them."""
    written = []
    names = ('nonfinite_loss.pth', 'nonfinite_loss.json')
    monkeypatch.setattr(
        'epsanet_mmdet.engine.hooks.finite_loss.barrier',
        lambda: written.append([name for name in names if (tmp_path / name).is_file()]),
    )
    with pytest.raises(NonFiniteError):
        toy_runner(tmp_path, **OPTIONS).train()
    assert written == [list(names)]


def test_the_weights_before_the_update_are_saved(tmp_path):
    runner = toy_runner(tmp_path, **OPTIONS)
    with pytest.raises(NonFiniteError):
        runner.train()
    saved = torch.load(tmp_path / 'nonfinite_loss.pth', weights_only=False)
    assert saved['meta']['iter'] == EPOCH_LENGTH + 1 and 'optimizer' in saved
    for name, value in runner.model.before.items():
        assert torch.equal(saved['state_dict'][name], value)
        assert torch.equal(weights(runner)[name], value)


def test_resuming_starts_from_the_last_good_checkpoint(tmp_path):
    runner = toy_runner(tmp_path, **OPTIONS)
    with pytest.raises(NonFiniteError):
        runner.train()
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    resumed = toy_runner(tmp_path, resume=True, randomness=dict(seed=5))
    resumed.train()
    assert resumed.iter == EPOCHS * EPOCH_LENGTH


def test_all_ranks_stop_when_one_does(tmp_path, monkeypatch):
    monkeypatch.setattr(finite_loss, 'get_world_size', lambda: 2)
    monkeypatch.setattr(finite_loss, 'all_reduce', lambda flag, op: flag.fill_(1))
    bad = dict(losses=dict(loss=float('nan')), images=['of another rank.jpg'])
    monkeypatch.setattr(finite_loss, 'all_gather_object', lambda mine: [mine, bad])
    with pytest.raises(NonFiniteError, match='loss is nan.*image .*of another rank.jpg'):
        toy_runner(tmp_path, randomness=dict(seed=5)).train()


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    runner = toy_runner(
        tmp_path, randomness=dict(seed=5), default_hooks__checkpoint__max_keep_ckpts=1
    )

    class Spoil(finite_loss.Hook):
        def after_train_iter(self, runner, *args, **kwargs):
            if runner.iter == 2 * EPOCH_LENGTH - 1:  # no later loss is affected
                runner.model.layers[0].bias.data[0] = float('nan')

    runner.register_hook(Spoil())
    with pytest.raises(NonFiniteError, match='layers.0.bias are not finite'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    assert find_fault(tmp_path / 'epoch_1.pth') is None


@MODELS.register_module()
class PredictsNaN(ToyModel):
    """Call the model twice in a step: for a prediction, as distillation does, and for the loss."""

    prediction = float('nan')

    def train_step(self, data, optim_wrapper):
        self(**data, mode='tensor')
        return super().train_step(data, optim_wrapper)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = super().forward(inputs, data_samples, mode)
        return out if mode == 'loss' else self.prediction


@pytest.mark.parametrize('form', [torch.tensor, lambda value: dict(scores=torch.tensor(value))])
def test_predictions_are_not_mistaken_for_losses(form, tmp_path, monkeypatch):
    monkeypatch.setattr(PredictsNaN, 'prediction', form(float('nan')))
    runner = toy_runner(tmp_path, model__type='PredictsNaN')
    runner.train()
    assert runner.iter == EPOCHS * EPOCH_LENGTH
