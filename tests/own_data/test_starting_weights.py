"""A new config starts from the weights that are named, found or transplanted, if they fit."""

from functools import partial
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from one_line import error_line
from small_data import write_coco

from epsanet_cli.main import main
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.errors import ArgumentError, CheckpointError, ConfigError
from epsanet_mmdet.own_data.new_config import new_config
from epsanet_mmdet.own_data.new_config.planning import Machine
from epsanet_mmdet.weight_transfer import run_transplant

MODEL = 'mask-rcnn_epsanet50-s'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp('weights') / 'data', 12, 2)


@pytest.fixture(scope='module')
def backbone():
    config = load_config(f'{MODEL}_fpn_1x_coco').model.backbone
    return MODELS.build(dict(config, init_cfg=None)).state_dict()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(root, model=MODEL, **choices):
    path = new_config([str(root)], model, 'c.py', machine=Machine(0, 2), **choices)
    return Config.fromfile(path), Path(path).read_text(encoding='utf-8')


def prefixed(weights, prefix):
    return {prefix + name: value for name, value in weights.items()}


def test_weights_of_a_backbone(root, backbone):
    torch.save(backbone, 'mine.pth')
    config, text = make(root, weights='mine.pth')
    init = config.model.backbone.init_cfg
    assert init.checkpoint == str(Path('mine.pth').resolve()) and 'prefix' not in init
    assert config.model.backbone.frozen_stages == 1
    assert "the backbone 'mine.pth' was chosen" in text


def test_weights_of_a_classifier_whose_backbone_has_a_prefix(root, backbone):
    torch.save(dict(state_dict=prefixed(backbone, 'backbone.')), 'mine.pth')
    config, _ = make(root, weights='mine.pth')
    assert config.model.backbone.init_cfg.prefix == 'backbone.'
    module = MODELS.build(config.model.backbone)
    module.init_weights()
    assert all(value.equal(backbone[name]) for name, value in module.state_dict().items())


def test_weights_of_a_detector(root, backbone):
    weights = dict(prefixed(backbone, 'backbone.'), **{'neck.x': torch.ones(1)})
    torch.save(dict(state_dict=weights), 'mine.pth')
    config, text = make(root, weights='mine.pth')
    assert config.load_from == str(Path('mine.pth').resolve())
    assert config.model.backbone.init_cfg is None
    assert "the detector 'mine.pth' was chosen" in text


@pytest.mark.parametrize('content', [{}, dict(state_dict={'conv1.weight': torch.ones(3)}), [1, 2]])
def test_other_weights_are_refused(content, root):
    torch.save(content, 'odd.pth')
    assert "'odd.pth' is of another architecture" in error_line(
        CheckpointError, make, root, weights='odd.pth'
    )
    assert not Path('c.py').exists()


def test_a_missing_file_is_named(root):
    line = error_line(CheckpointError, make, root, weights='none.pth')
    assert "'none.pth' does not exist" in line


def test_a_resnet_is_transplanted(root, teacher_file):
    options = dict(method='permute', image_size=32, progress=lambda line: None)
    seen = []

    def transplant(**given):
        seen.append(given)
        return run_transplant(teacher_file, **{**given, **options})

    config, text = make(root, transplant=transplant)
    assert config.model.backbone.init_cfg.checkpoint == str(Path('c_start.pth').resolve())
    assert 'transplanted from resnet50.pth by permute' in ' '.join(text.replace('#', '').split())
    (given,) = seen
    assert given['images'].endswith('images')  # twelve images are enough to fit to
    assert (given['arch'], given['depth']) == ('small', 50)


def test_a_detector_is_transplanted_whole(teacher_file, tmp_path, monkeypatch):
    data = write_coco(tmp_path / 'few', 6, 2)  # too few images to fit to
    weights = prefixed(torch.load(teacher_file), 'backbone.')
    torch.save(dict(state_dict={**weights, 'neck.x': torch.ones(1)}), 'theirs.pth')
    given = ['--data', str(data), '--model', MODEL, '--transplant', 'theirs.pth', '--out', 'c.py']
    monkeypatch.setattr('sys.argv', ['epsanet', 'new-config', *given])
    main()
    assert Config.fromfile('c.py').load_from == str(Path('c_start.pth').resolve())
    assert torch.load('c_start.pth')['state_dict']['neck.x'] == 1
    text = ' '.join(Path('c.py').read_text(encoding='utf-8').replace('#', '').split())
    assert "the detector 'c_start.pth' was chosen, transplanted from theirs.pth by permute" in text


def test_an_ablation_cannot_be_transplanted_to(root, teacher_file):
    transplant = partial(run_transplant, teacher_file)
    model = 'mask-rcnn_epsanet50-s-no-softmax'
    line = error_line(ArgumentError, make, root, model, transplant=transplant)
    assert f"'{model}'" in line and "attention_type='sigmoid'" in line


def test_only_an_epsanet_can_be_transplanted_to(root, teacher_file):
    transplant = partial(run_transplant, teacher_file)
    line = error_line(ArgumentError, make, root, 'mask-rcnn_resnet50', transplant=transplant)
    assert "'mask-rcnn_resnet50', whose backbone is a ResNet" in line


def test_existing_weights_are_not_overwritten(root):
    Path('c_start.pth').touch()
    line = error_line(ConfigError, make, root, transplant=lambda **_: pytest.fail('written'))
    assert "'c_start.pth' exists" in line
