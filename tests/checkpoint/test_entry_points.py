"""Wherever a checkpoint is read, honest ones load and crafted ones are refused without running."""

import copy
import subprocess
import sys

import pytest
import torch
from crafted_checkpoints import attacks, write
from mmdet.apis import DetInferencer, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.checkpoint.safetensors_files import write_weights
from epsanet_mmdet.errors import CheckpointError


def runner(config: Config, work_dir, **settings) -> Runner:
    config = copy.deepcopy(config)
    config.merge_from_dict(dict(work_dir=str(work_dir), **settings))
    config.experiment_name = f'{work_dir.parent.name}_{work_dir.name}'
    return Runner.from_cfg(config)


@pytest.fixture(scope='module')
def config(tiny_detector) -> Config:  # noqa: F811
    config = Config.fromfile(tiny_detector.config)
    config.train_dataloader.update(
        batch_size=1,
        dataset=dict(filter_cfg=None, pipeline=config.test_pipeline),
    )
    config.train_pipeline = config.test_pipeline
    config.merge_from_dict(
        {
            'model.backbone.base_channels': 16,
            'model.backbone.groups': (1, 2, 4, 4),
            'model.neck.in_channels': [64, 128, 256, 512],
            'train_cfg': dict(
                type='IterBasedTrainLoop', max_iters=2, val_interval=100, _delete_=True
            ),
            'val_cfg': None,
            'val_dataloader': None,
            'val_evaluator': None,
            'default_hooks.checkpoint': dict(type='CheckpointHook', by_epoch=False, interval=2),
            'default_hooks.logger.interval': 1,
            'log_level': 'WARNING',
            'log_processor.by_epoch': False,
            'param_scheduler': [dict(type='ConstantLR', factor=0.1, by_epoch=False)],
        }
    )
    return config


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """A checkpoint of two real iterations, with everything mmengine puts in it."""
    work_dir = tmp_path_factory.mktemp('runs') / 'first'
    runner(config, work_dir).train()
    return work_dir / 'iter_2.pth'


def test_torch_alone_would_refuse_this_honest_checkpoint(trained):
    """Otherwise these tests would not show that our list of types is needed."""
    code = f'import torch; torch.load({str(trained)!r}, weights_only=True)'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert 'UnpicklingError' in run.stderr


def test_load_from(config, trained, tmp_path):
    run = runner(config, tmp_path / 'second', load_from=str(trained))
    run.load_or_resume()
    state = torch.load(trained, weights_only=False)['state_dict']
    assert all(v.equal(state[k]) for k, v in run.model.state_dict().items())
    assert run.iter == 0


@pytest.fixture(scope='module')
def shared(trained, tmp_path_factory):
    """The weights of ``trained`` in the form to share."""
    path = tmp_path_factory.mktemp('shared') / 'detector.safetensors'
    checkpoint = torch.load(trained, weights_only=False)
    meta = dict(dataset_meta=dict(classes=('disc', 'box'), palette=[(1, 2, 3), (4, 5, 6)]))
    write_weights(checkpoint['state_dict'], meta, path)
    return path


def test_load_from_safetensors(config, trained, shared, tmp_path):
    run = runner(config, tmp_path / 'second', load_from=str(shared))
    run.load_or_resume()
    state = torch.load(trained, weights_only=False)['state_dict']
    assert all(v.equal(state[k]) for k, v in run.model.state_dict().items())


def test_testing_and_inferring_with_safetensors(config, trained, shared, tiny_detector, tmp_path):  # noqa: F811
    image = str(next(tiny_detector.images.iterdir()))
    results = []
    for path in (trained, shared):
        inferencer = DetInferencer(copy.deepcopy(config), str(path), device='cpu')
        assert tuple(inferencer.model.dataset_meta['classes']) == ('disc', 'box')
        found = inferencer(image, out_dir='', show=False, no_save_vis=True)
        results.append(found['predictions'][0]['scores'])
    assert results[0] == results[1]
    model = init_detector(copy.deepcopy(config), str(shared), device='cpu')
    assert tuple(model.dataset_meta['classes']) == ('disc', 'box')


def test_init_cfg_with_safetensors(config, trained, shared):
    model = backbone(config, dict(type='Pretrained', checkpoint=str(shared), prefix='backbone.'))
    model.init_weights()
    state = torch.load(trained, weights_only=False)['state_dict']
    assert model.conv1.weight.equal(state['backbone.conv1.weight'])


def test_resuming_from_safetensors_is_refused_with_the_remedy(config, shared, tmp_path):
    run = runner(config, tmp_path / 'second', load_from=str(shared), resume=True)
    with pytest.raises(CheckpointError, match='nothing to resume from.*load_from'):
        run.load_or_resume()


def test_only_a_resume_reads_the_optimizer(config, trained, tmp_path):
    seen = {}
    for resume in (False, True):
        run = runner(config, tmp_path / str(resume), load_from=str(trained), resume=resume)
        hook = Looks()
        run.register_hook(hook)
        run.load_or_resume()
        seen[resume] = hook.seen
    assert 'optimizer' in seen[True] and 'optimizer' not in seen[False]


def test_resume_continues_where_the_run_stopped(config, trained, tmp_path):
    settings = {'load_from': str(trained), 'resume': True, 'train_cfg.max_iters': 3}
    settings['default_hooks.checkpoint.interval'] = 1
    run = runner(config, tmp_path / 'second', **settings)
    run.train()
    assert run.iter == 3 and (tmp_path / 'second' / 'iter_3.pth').exists()
    history = run.message_hub.get_scalar('train/loss').data[0]
    assert len(history) == 3, 'the log of the first run is kept'


def backbone(config: Config, init_cfg: dict):
    return MODELS.build({**config.model.backbone, 'init_cfg': init_cfg})


@pytest.mark.parametrize('kind', ['Pretrained', 'PretrainedIfPresent'])
def test_init_cfg(kind, config, trained):
    model = backbone(config, dict(type=kind, checkpoint=str(trained), prefix='backbone.'))
    model.init_weights()
    state = torch.load(trained, weights_only=False)['state_dict']
    assert model.conv1.weight.equal(state['backbone.conv1.weight'])


def test_init_detector(config, trained):
    model = init_detector(copy.deepcopy(config), str(trained), device='cpu')
    assert model.dataset_meta['classes'] == ('disc', 'box')


def test_det_inferencer(config, trained, tiny_detector):  # noqa: F811
    inferencer = DetInferencer(copy.deepcopy(config), str(trained), device='cpu')
    image = str(next(tiny_detector.images.iterdir()))
    result = inferencer(image, out_dir='', show=False, no_save_vis=True)
    assert set(result['predictions'][0]) >= {'labels', 'scores', 'bboxes'}


class Looks(Hook):
    """Record the keys of a checkpoint."""

    def after_load_checkpoint(self, runner, checkpoint):
        self.seen = set(checkpoint)


def test_averaged_weights_are_tested_and_resumed(config, tmp_path):
    """Mmengine's EMAHook swaps both in the file, and loads them apart when resuming."""
    options = {'custom_hooks': [dict(type='EMAHook')]}
    runner(config, tmp_path / 'first', **options).train()
    path = tmp_path / 'first' / 'iter_2.pth'
    saved = torch.load(path, weights_only=False)
    test = runner(config, tmp_path / 'second', load_from=str(path))
    test.load_or_resume()
    assert all(v.equal(saved['state_dict'][k]) for k, v in test.model.state_dict().items())
    options['train_cfg.max_iters'] = 3
    again = runner(config, tmp_path / 'third', load_from=str(path), resume=True, **options)
    again.train()
    assert again.iter == 3


# Refused


@pytest.fixture
def marker(tmp_path):
    path = tmp_path / 'ran'
    yield path
    assert not path.exists(), 'the checkpoint ran code'


@pytest.fixture
def crafted(marker, tmp_path):
    payload, called = attacks(marker)['system']
    return write(tmp_path / 'evil.pth', payload), called


def refuse(called: str, function, *args, **kwargs) -> None:
    with pytest.raises(CheckpointError) as caught:
        function(*args, **kwargs)
    assert called in str(caught.value) and 'evil.pth' in str(caught.value)


@pytest.fixture
def environment(monkeypatch):
    """Set the variable that lifts torch's own restriction."""
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')


@pytest.mark.usefixtures('environment')
class TestCraftedCheckpointIsRefusedBy:
    @pytest.mark.parametrize('resume', [False, True], ids=['load_from', 'resume'])
    def test_a_run(self, resume, crafted, config, tmp_path):
        path, called = crafted
        run = runner(config, tmp_path / 'run', load_from=path, resume=resume)
        refuse(called, run.train)
        assert not list((tmp_path / 'run').glob('*.pth'))

    def test_resuming_the_latest(self, crafted, config, tmp_path):
        path, called = crafted
        work_dir = tmp_path / 'run'
        work_dir.mkdir()
        (work_dir / 'last_checkpoint').write_text(path)
        refuse(called, runner(config, work_dir, resume=True).train)

    @pytest.mark.parametrize('kind', ['Pretrained', 'PretrainedIfPresent'])
    @pytest.mark.parametrize('prefix', [None, 'backbone.'])
    def test_init_cfg(self, kind, prefix, crafted, config):
        path, called = crafted
        init_cfg = dict(type=kind, checkpoint=path, prefix=prefix)
        refuse(called, backbone(config, init_cfg).init_weights)

    def test_init_detector(self, crafted, config):
        path, called = crafted
        refuse(called, init_detector, copy.deepcopy(config), path, device='cpu')

    def test_det_inferencer(self, crafted, config):
        path, called = crafted
        refuse(called, DetInferencer, copy.deepcopy(config), path, device='cpu')


def with_code_as_config(trained, tmp_path, marker):
    """Write a checkpoint like ``trained`` whose stored configs, Python by nature, run a command."""
    checkpoint = torch.load(trained, weights_only=False)
    code = f'import pathlib\npathlib.Path({str(marker)!r}).touch()\n'
    checkpoint['meta'].update(cfg=code, config=code)
    checkpoint['message_hub']['runtime_info']['cfg'] = code
    torch.save(checkpoint, tmp_path / 'crafted.pth')
    return str(tmp_path / 'crafted.pth')


def test_resume_does_not_run_the_config_that_a_checkpoint_stores(config, trained, tmp_path):
    marker = tmp_path / 'marker'
    crafted = with_code_as_config(trained, tmp_path, marker)
    run = runner(config, tmp_path / 'second', load_from=crafted, resume=True)
    run.load_or_resume()
    assert run.iter == 2
    assert not marker.exists()


def test_the_inferencer_does_not_run_the_config_that_a_checkpoint_stores(trained, tmp_path):
    marker = tmp_path / 'marker'
    crafted = with_code_as_config(trained, tmp_path, marker)
    with pytest.raises(ValueError, match='Cannot find the config'):
        DetInferencer(weights=crafted, device='cpu')
    assert not marker.exists()
