"""A checkpoint that does not fit the run is refused in one line that names the file."""

import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn
from toy_training import EPOCHS, ToyModel, toy_runner

from epsanet_mmdet.engine.hooks import CheckpointMatchHook
from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.utils.command_line import run_command


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    """A checkpoint after the first epoch."""
    folder = tmp_path_factory.mktemp('trained')
    toy_runner(folder, randomness=dict(seed=0), train_cfg__max_epochs=1).train()
    return folder / 'epoch_1.pth'


@pytest.fixture(scope='module')
def with_adam(tmp_path_factory) -> Dict[str, Any]:
    folder = tmp_path_factory.mktemp('adam')
    options = dict(optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01), _delete_=True))
    toy_runner(folder, train_cfg__max_epochs=1, **options).train()
    return torch.load(folder / 'epoch_1.pth', weights_only=False)


@pytest.fixture
def start(trained, tmp_path) -> Callable:
    """Return a function that changes a checkpoint and starts a run from it."""

    def start(change: Callable[[dict], Any], resume: bool = True, **options):
        path = tmp_path / 'odd.pth'
        checkpoint = torch.load(trained, weights_only=False)
        changed = change(checkpoint)
        torch.save(checkpoint if changed is None else changed, path)
        return start_from(path, resume, **options)

    def start_from(path: Path, resume: bool = True, **options):
        runner = toy_runner(tmp_path / 'run', load_from=str(path), resume=resume, **options)
        run_command(runner.train)
        return runner

    start.from_file = start_from
    return start


def refused(caught, path: str = 'odd.pth') -> str:
    """Return the one line of a refusal."""
    line = caught.value.code
    assert isinstance(line, str) and line.startswith('error: ') and path in line
    assert len(line.splitlines()) == 1
    return line


def put(value: Any, *keys: Any) -> Callable:
    """Return a function that puts a value at a place in a checkpoint."""

    def change(checkpoint: dict) -> None:
        for key in keys[:-1]:
            checkpoint = checkpoint[key]
        checkpoint[keys[-1]] = value

    return change


def remove(*keys: Any) -> Callable:
    def change(checkpoint: dict) -> None:
        for key in keys[:-1]:
            checkpoint = checkpoint[key]
        del checkpoint[keys[-1]]

    return change


def duplicate_schedulers(checkpoint: dict) -> None:
    checkpoint['param_schedulers'] *= 2


def swap_schedulers(checkpoint: dict) -> None:
    checkpoint['param_schedulers'].reverse()


class Wide(ToyModel):
    def __init__(self):
        super().__init__()
        self.layers[0] = nn.Linear(4, 9)


REFUSED = {
    'list': (lambda c: [1, 2], 'holds a list'),
    'tensor': (lambda c: torch.ones(3), 'holds a Tensor'),
    'number': (lambda c: 7, 'holds a int'),
    'empty dict': (lambda c: {'nothing': 0}, 'lacks meta'),
    'bare weights': (lambda c: c['state_dict'], 'lacks meta'),
    'no meta': (remove('meta'), 'lacks meta'),
    'meta of another type': (put([1], 'meta'), 'meta of type list'),
    'no epoch': (remove('meta', 'epoch'), 'meta.epoch is None'),
    'no iter': (remove('meta', 'iter'), 'meta.iter is None'),
    'epoch as text': (put('1', 'meta', 'epoch'), "meta.epoch is '1'"),
    'iter as float': (put(4.5, 'meta', 'iter'), 'meta.iter is 4.5'),
    'NaN iter': (put(math.nan, 'meta', 'iter'), 'meta.iter is nan'),
    'iter as tensor': (put(torch.ones(2), 'meta', 'iter'), 'meta.iter is'),
    'negative iter': (put(-3, 'meta', 'iter'), 'meta.iter is -3'),
    'negative epoch': (put(-1, 'meta', 'epoch'), 'meta.epoch is -1'),
    'epoch beyond the end': (put(EPOCHS + 1, 'meta', 'epoch'), f'this run ends at {EPOCHS}'),
    'seed as text': (put('abc', 'meta', 'seed'), 'cannot be resumed'),
    'epoch length as text': (put('4', 'meta', 'epoch_length'), "meta.epoch_length is '4'"),
    'negative epoch length': (put(-4, 'meta', 'epoch_length'), 'meta.epoch_length is -4'),
    'sampler seed as list': (put([4], 'meta', 'sampler_seed'), r'meta.sampler_seed is \[4\]'),
    'no hub': (remove('message_hub'), 'lacks message_hub'),
    'hub of another type': (put([], 'message_hub'), 'message_hub of type list'),
    'hub without keys': (put({}, 'message_hub'), 'lacks log_scalars'),
    'scalars of another type': (put([], 'message_hub', 'log_scalars'), 'log_scalars of type list'),
    'info of another type': (put(3, 'message_hub', 'runtime_info'), 'runtime_info of type int'),
    'keys of another type': (put(None, 'message_hub', 'resumed_keys'), 'resumed_keys of type'),
    'text as score': (put('a', 'message_hub', 'runtime_info', 'best_score'), "best_score is 'a'"),
    'no weights': (remove('state_dict'), 'lacks state_dict'),
    'weights of another type': (put(7, 'state_dict'), 'state_dict of type int'),
    'a missing weight': (remove('state_dict', 'layers.0.weight'), 'layers.0.weight'),
    'a strange weight': (put(torch.ones(2), 'state_dict', 'extra'), 'extra'),
    'a weight of another type': (put('a', 'state_dict', 'layers.0.bias'), 'layers.0.bias'),
    'another model': (put(Wide().state_dict(), 'state_dict'), 'another architecture'),
    'optimizer of another type': (put('SGD', 'optimizer'), 'cannot be resumed'),
    'optimizer without groups': (put(dict(state={}), 'optimizer'), 'param_groups'),
    'no groups': (put([], 'optimizer', 'param_groups'), 'parameter groups'),
    'smaller groups': (put([0, 1], 'optimizer', 'param_groups', 0, 'params'), 'size of optimizer'),
    'option missing': (remove('optimizer', 'param_groups', 0, 'momentum'), 'has no momentum'),
    'one scheduler': (remove('param_schedulers', 0), 'holds 1 param_schedulers'),
    'more schedulers': (duplicate_schedulers, 'holds 4 param_schedulers'),
    'other schedulers': (swap_schedulers, r'param_schedulers\[0\] is not the state of a LinearLR'),
    'schedulers of another type': (put(dict(a=[]), 'param_schedulers'), 'no list of'),
    'scheduler of another type': (put(3, 'param_schedulers', 0), r'param_schedulers\[0\]'),
    'step as text': (put('2', 'param_schedulers', 0, 'last_step'), r'param_schedulers\[0\]'),
}  # fmt: skip


@pytest.mark.parametrize('what', REFUSED)
def test_an_odd_state_is_refused_in_one_line(what, start):
    change, message = REFUSED[what]
    with pytest.raises(SystemExit) as caught:
        start(change)
    refused(caught)
    caught.match(message)


def test_another_optimizer_is_refused_in_one_line(start, with_adam):
    with pytest.raises(SystemExit) as caught:
        start(put(with_adam['optimizer'], 'optimizer'))
    assert 'no dampening, which SGD needs' in refused(caught)


def test_an_odd_file_is_refused_in_one_line(start, trained, tmp_path):
    whole = trained.read_bytes()
    contents = dict(
        empty=b'', truncated=whole[:-300], page=b'<html>', zip=b'PK\x03\x04' + b'a' * 99
    )
    contents['pickle'] = pickle.dumps(dict(state_dict={}))
    for name, content in contents.items():
        path = tmp_path / f'{name}.pth'
        path.write_bytes(content)
        with pytest.raises(SystemExit) as caught:
            start.from_file(path)
        refused(caught, path.name)
    module = tmp_path / 'module.pth'
    torch.save(nn.Linear(2, 2), module)
    for path in (module, tmp_path, tmp_path / 'absent.pth'):
        with pytest.raises(SystemExit) as caught:
            start.from_file(path)
        refused(caught, path.name)


def no_optimizer(checkpoint: dict) -> None:
    del checkpoint['optimizer'], checkpoint['param_schedulers']


def wrong_scalars(checkpoint: dict) -> None:
    checkpoint['message_hub']['log_scalars'] = OrderedDict(a=1, b=HistoryBuffer())


def strange_keys(checkpoint: dict) -> None:
    checkpoint['message_hub']['resumed_keys'].update({3: True, 'unknown': False})


RESUMED = {
    'no optimizer': no_optimizer,
    'scalars that are none': wrong_scalars,
    'strange keys': strange_keys,
    'counts of NumPy': put(np.int64(4), 'meta', 'iter'),
    'no seed': remove('meta', 'seed'),
    'no dataset_meta': remove('meta', 'dataset_meta'),
    'no epoch length': remove('meta', 'epoch_length'),
    'more than is needed': put(3, 'mystery'),
}


@pytest.mark.parametrize('what', RESUMED)
def test_a_merely_unusual_state_is_resumed(what, start):
    runner = start(RESUMED[what])
    assert runner.epoch == EPOCHS and runner.iter == 4 * EPOCHS


def test_resuming_without_an_optimizers_state_is_a_warning(start, capsys):
    start(no_optimizer, log_level='WARNING')
    assert "odd.pth' holds no optimizer's state" in capsys.readouterr().out


def test_a_finished_run_that_is_resumed_ends_at_once(start):
    runner = start(put(EPOCHS, 'meta', 'epoch'))
    assert runner.epoch == EPOCHS


def test_iterations_beyond_the_end_are_refused(start):
    options = dict(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, _delete_=True),
        default_hooks__checkpoint__by_epoch=False,
        log_processor=dict(by_epoch=False),
    )
    with pytest.raises(SystemExit) as caught:
        start(lambda checkpoint: None, **options)
    assert 'it is of iter 4, and this run ends at 3; raise train_cfg.max_iters' in refused(caught)


@pytest.mark.parametrize(
    'change',
    [put(7, 'state_dict'), lambda c: 7, lambda c: {}],
    ids=['state_dict', 'number', 'empty'],
)
def test_odd_weights_are_refused_in_one_line(change, start):
    with pytest.raises(SystemExit) as caught:
        start(change, resume=False)
    refused(caught)


def test_names_in_a_file_do_not_control_the_terminal(start):
    with pytest.raises(SystemExit) as caught:
        start(put(torch.ones(2), 'state_dict', '\x1b[2J\x07'))
    assert refused(caught).isprintable()


def test_the_cause_of_a_refusal_is_kept(start, tmp_path):
    path = tmp_path / 'odd.pth'
    torch.save(dict(state_dict=7), path)
    runner = toy_runner(tmp_path / 'run', load_from=str(path))
    with pytest.raises(Exception, match='cannot be loaded') as caught:
        runner.train()
    assert caught.value.__cause__ is not None


# Another architecture


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


@pytest.mark.parametrize('resume', [False, True], ids=['load_from', 'resume'])
def test_a_run_refuses_another_architecture_before_it_trains(resume, tmp_path):
    hub = dict(log_scalars={}, runtime_info={}, resumed_keys={})
    state = dict(state_dict=Model(5).state_dict(), meta=dict(epoch=0, iter=0), message_hub=hub)
    torch.save(state, tmp_path / 'other.pth')
    model = Model()
    before = model.layers[0].weight.clone()
    runner = run(model, tmp_path / 'run', load_from=str(tmp_path / 'other.pth'), resume=resume)
    with pytest.raises(CheckpointError, match='0 of its 8 tensors match the 8 of the model'):
        runner.train()
    assert model.layers[0].weight.equal(before)


def test_a_run_loads_its_own_architecture(tmp_path):
    trained = Model()
    torch.save(dict(state_dict=trained.state_dict(), meta={}), tmp_path / 'own.pth')
    runner = run(Model(), tmp_path / 'own run', load_from=str(tmp_path / 'own.pth'))
    runner.call_hook('before_run')
    runner.load_or_resume()
    assert runner.model.layers[0].weight.equal(trained.layers[0].weight)


def test_a_checkpoint_without_some_weights_can_be_fine_tuned_but_not_tested(tmp_path):
    state = Model().state_dict()
    del state['layers.3.weight']
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'part.pth')
    training = run(Model(), tmp_path / 'training', load_from=str(tmp_path / 'part.pth'))
    training._train_loop = training.build_train_loop(training._train_loop)
    training.call_hook('before_run')
    training.load_or_resume()
    test = run(Model(), tmp_path / 'test', load_from=str(tmp_path / 'part.pth'))
    test.call_hook('before_run')
    with pytest.raises(CheckpointError, match="part.pth' cannot be loaded: .* 1 of .* 8 tensors"):
        test.load_or_resume()


def test_a_wrapped_model_is_checked_inside_its_wrapper():
    class Wrapped(MMDistributedDataParallel):
        def __init__(self, module):
            nn.Module.__init__(self)
            self.module = module

    class FakeRunner:
        model = Wrapped(Model())
        load_or_resume = None
        hooks: list = []

    CheckpointMatchHook().before_run(FakeRunner)
    with pytest.raises(CheckpointError):
        FakeRunner.model.module.load_state_dict(Model(5).state_dict())
