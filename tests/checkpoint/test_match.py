"""A checkpoint of another architecture is refused with counts; changed heads are not."""

import copy
import re
from functools import partial

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import load_checkpoint, load_state_dict
from one_line import error_line
from torch import nn

from epsanet_mmdet.checkpoint import require_match
from epsanet_mmdet.config.load import find_config
from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.models import EPSANet

refusal = partial(error_line, CheckpointError)


def tensors(model: nn.Module) -> int:
    return sum('num_batches_tracked' not in name for name in model.state_dict())


def initialise(path, backbone: dict) -> nn.Module:
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    model = MODELS.build(dict(init_cfg=init_cfg, **backbone))
    model.init_weights()
    return model


SMALL = dict(type='EPSANet', depth=50)


@pytest.mark.parametrize(
    'other',
    [
        dict(type='ResNet', depth=50),
        dict(type='EPSANet', depth=101),
        dict(type='EPSANet', depth=50, arch='large'),
        dict(type='EPSANet', depth=50, groups=(1, 4, 8, 8)),
        dict(type='EPSANet', depth=50, kernel_sizes=(3, 5, 7, 7)),
    ],
    ids=str,
)
@pytest.mark.parametrize('reverse', [False, True], ids=['into EPSANet-50', 'from EPSANet-50'])
def test_another_architecture_is_refused_with_what_matched(other, reverse, tmp_path):
    source, target = (SMALL, other) if reverse else (other, SMALL)
    if target['type'] == 'ResNet':
        pytest.skip("mmdet's own backbones are checked in a run, by CheckpointMatchHook")
    given = MODELS.build(source)
    torch.save(given.state_dict(), tmp_path / 'other.pth')

    message = refusal(initialise, tmp_path / 'other.pth', target)

    matched, of, wanted = map(
        int, re.search(r'(\d+) of its (\d+) tensors match the (\d+)', message).groups()
    )
    assert of == tensors(given) and wanted == tensors(MODELS.build(target))
    assert matched < max(of, wanted)
    assert 'EPSANet' in message and ('missing' in message or 'another shape' in message)
    named = re.findall(r'such as (\S+?)[,)]', message)
    assert named and all(
        name in {**given.state_dict(), **MODELS.build(target).state_dict()} for name in named
    )


def test_large_and_the_papers_large_are_not_the_same(tmp_path):
    torch.save(EPSANet(50, 'large').state_dict(), tmp_path / 'large.pth')
    message = refusal(
        initialise, tmp_path / 'large.pth', dict(type='EPSANet', depth=50, arch='large-paper')
    )
    assert '32 of another shape such as layer1.0.conv2.conv_3.weight' in message


def test_a_refusal_leaves_the_model_as_it_was():
    model = EPSANet(50)
    before = copy.deepcopy(model.state_dict())
    refusal(load_state_dict, model, EPSANet(50, 'large').state_dict())
    assert all(v.equal(before[k]) for k, v in model.state_dict().items())


def test_a_whole_detector_is_refused_with_the_missing_prefix():
    state = {f'backbone.{k}': v for k, v in EPSANet(50).state_dict().items()}
    assert "prefix='backbone.'" in refusal(load_state_dict, EPSANet(50), state)


def test_an_empty_checkpoint_is_refused():
    assert '0 of its 0 tensors' in refusal(load_state_dict, EPSANet(50), {})


@pytest.mark.parametrize(
    'change',
    [
        dict(
            plugins=[
                dict(cfg=dict(type='ContextBlock', ratio=1, postfix=1), position='after_conv3'),
                dict(cfg=dict(type='ContextBlock', ratio=1, postfix=2), position='after_conv1'),
            ]
        ),
        dict(in_channels=4),
        dict(frozen_stages=2, norm_eval=False),
        dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
    ],
    ids=str,
)
def test_the_same_backbone_with_an_addition_is_allowed(change):
    trained = EPSANet(50)
    model = EPSANet(50, **change)
    load_state_dict(model, trained.state_dict())
    assert model.layer4[2].conv2.conv_4.weight.equal(trained.layer4[2].conv2.conv_4.weight)


def test_the_classifier_of_the_pretraining_is_ignored():
    trained = EPSANet(50)
    state = dict(trained.state_dict(), **{'fc.weight': torch.ones(9, 9), 'fc.bias': torch.ones(9)})
    load_state_dict(EPSANet(50), state)


def detector(name: str, classes: int = 80, **backbone) -> nn.Module:
    config = Config.fromfile(find_config(name))
    heads = config.model.get('roi_head') or {'bbox_head': config.model.bbox_head}
    for head in ('bbox_head', 'mask_head'):
        if head in heads:
            heads[head].num_classes = classes
    config.model.backbone.update(backbone)
    model = MODELS.build(config.model)
    require_match(model)
    return model


MASK, FASTER = (f'{name}-rcnn_epsanet50-s_fpn_1x_coco' for name in ('mask', 'faster'))
RETINA = 'retinanet_epsanet50-s_fpn_1x_coco'


@pytest.fixture(scope='module')
def mask_rcnn() -> dict:
    return detector(MASK).state_dict()


def test_mask_rcnn_loads_into_faster_rcnn(mask_rcnn):
    model = detector(FASTER)
    load_state_dict(model, mask_rcnn)
    name = 'roi_head.bbox_head.fc_cls.weight'
    assert model.state_dict()[name].equal(mask_rcnn[name])


@pytest.mark.parametrize('name', [MASK, RETINA])
def test_a_coco_detector_fine_tunes_to_two_classes(name, mask_rcnn):
    trained = mask_rcnn if name == MASK else detector(name).state_dict()
    model = detector(name, classes=2)
    load_state_dict(model, trained)
    name = 'neck.fpn_convs.0.conv.weight'
    assert model.state_dict()[name].equal(trained[name])


def test_a_detector_on_another_backbone_is_refused(mask_rcnn, tmp_path):
    torch.save(dict(state_dict=mask_rcnn, meta={}), tmp_path / 'mask.pth')
    for backbone in (dict(depth=101), dict(arch='large')):
        model = detector(MASK, **backbone)
        message = refusal(load_checkpoint, model, str(tmp_path / 'mask.pth'))
        assert f'{len([k for k in mask_rcnn if "num_batches" not in k])}' in message


def test_other_modules_are_checked_when_asked_and_only_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for _ in range(2):
        require_match(model)
    assert len(model._load_state_dict_pre_hooks) == 1
    load_state_dict(model, model.state_dict())
    refusal(model.load_state_dict, {'0.weight': torch.ones(2, 2)}, False)


def test_a_copied_model_checks_itself():
    model = copy.deepcopy(EPSANet(50))
    load_state_dict(model, EPSANet(50).state_dict())
    refusal(load_state_dict, model, EPSANet(50, 'large').state_dict())
