"""A plain ResNet is read from any usual checkpoint; the error for any other network names it."""

import pytest
import torch
from classifier_files import authors_eca, linear_se, psa, resnet, timm_eca, timm_se

from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.weight_transfer.teacher import named_blocks, read_teacher


@pytest.fixture(scope='module')
def weights():
    return resnet(50)


def saved(tmp_path, content):
    path = tmp_path / 'teacher.pth'
    torch.save(content, path)
    return str(path)


def without(weights, *names):
    return {k: v for k, v in weights.items() if not k.startswith(names)}


def renamed(weights, old, new):
    return {k.replace(old, new): v for k, v in weights.items()}


@pytest.mark.parametrize(
    'wrap',
    [
        lambda w: w,
        lambda w: dict(state_dict={f'module.{k}': v for k, v in w.items()}, epoch=3),
        lambda w: dict(model=w, optimizer={}),
        lambda w: dict(state_dict={f'backbone.{k}': v for k, v in w.items()}),
        lambda w: {k: v.half() if v.is_floating_point() else v for k, v in w.items()},
        lambda w: without(w, 'fc.'),
        lambda w: {k: v for k, v in w.items() if 'num_batches_tracked' not in k},
    ],
    ids=['torchvision', 'DataParallel', 'timm', 'mmengine', 'half', 'headless', 'old torch'],
)
def test_a_resnet_is_read_from_any_wrapping(wrap, weights, tmp_path):
    teacher = read_teacher(saved(tmp_path, wrap(weights)))
    assert teacher.depth == 50 and not teacher.training
    found = teacher.layer3[5].conv2.weight
    torch.testing.assert_close(found, weights['layer3.5.conv2.weight'], rtol=1e-3, atol=1e-3)
    assert found.dtype == torch.float32
    assert not any(p.requires_grad for p in teacher.parameters())


def test_the_depth_is_read_from_the_tensors(tmp_path):
    assert read_teacher(saved(tmp_path, resnet(101))).depth == 101


def test_blocks_are_listed_in_the_order_of_the_forward_pass(weights, tmp_path):
    blocks = list(named_blocks(read_teacher(saved(tmp_path, weights))))
    assert [name for _, name, _ in blocks][:4] == [
        f'layer{i}' for i in ('1.0', '1.1', '1.2', '2.0')
    ]
    assert [stage for stage, _, _ in blocks] == [1] * 3 + [2] * 4 + [3] * 6 + [4] * 3


def basic(weights):
    shallow = {k: v for k, v in weights.items() if 'conv3' not in k and 'bn3' not in k}
    return {k: v for k, v in shallow.items() if '.downsample' not in k}


CASES = {
    'SE': (lambda w: resnet(50, attention=timm_se), 'attention layers'),
    'other SE': (lambda w: resnet(50, attention=linear_se), 'attention layers'),
    'ECA': (lambda w: resnet(50, attention=timm_eca), 'attention layers'),
    'authors ECA': (lambda w: resnet(50, attention=authors_eca), 'attention layers'),
    'EPSANet': (lambda w: resnet(50, psa), 'is already an EPSANet-50 small'),
    'deep stem': (
        lambda w: renamed(without(w, 'bn1'), 'layer0', '') | {'conv1.0.weight': w['conv1.weight']},
        'stem|lacks|has 1 tensors',
    ),
    'ResNeXt': (
        lambda w: resnet(50, lambda c: {'weight': torch.randn(c, c // 32, 3, 3)}),
        'ResNeXt-50 with 32 groups',
    ),
    'basic blocks': (basic, 'is a ResNet-34 with basic blocks'),
    'other counts': (
        lambda w: without(w, 'layer3.5.'),
        'not have the number of blocks',
    ),
    'no ResNet': (lambda w: {'features.0.weight': torch.ones(3)}, 'is not a ResNet'),
    'missing': (lambda w: without(w, 'layer2.1.bn2.weight'), r'lacks 1 .* layer2\.1\.bn2\.weight'),
    'extra': (lambda w: {**w, 'layer2.1.gate': torch.ones(1)}, r'such as layer2\.1\.gate'),
    'shape': (
        lambda w: {**w, 'layer4.2.conv3.weight': torch.ones(2048, 512, 3, 3)},
        r'layer4\.2\.conv3\.weight of shape \(2048, 512, 3, 3\), not',
    ),
    'not a convolution': (
        lambda w: {**w, 'layer1.0.conv2.weight': torch.ones(64)},
        r'layer1\.0\.conv2\.weight that is not a convolution',
    ),
    'not finite': (
        lambda w: {**w, 'layer4.0.bn1.running_var': torch.full((512,), torch.inf)},
        r'layer4\.0\.bn1\.running_var that are not finite',
    ),
    'negative': (
        lambda w: {**w, 'layer4.0.bn1.running_var': torch.full((512,), -1.0)},
        r'negative variances in layer4\.0\.bn1\.running_var',
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_another_network_is_refused_by_name(case, weights, tmp_path):
    change, message = CASES[case]
    with pytest.raises(CheckpointError, match=message) as caught:
        read_teacher(saved(tmp_path, change(dict(weights))))
    assert 'teacher.pth' in str(caught.value) and '\n' not in str(caught.value)


def test_a_deep_stem_is_refused_by_name(weights, tmp_path):
    stem = {f'conv1.{i}.weight': torch.ones(32, 32, 3, 3) for i in (0, 3, 6)}
    with pytest.raises(CheckpointError, match='its stem is not a single convolution'):
        read_teacher(saved(tmp_path, {**without(weights, 'conv1.weight'), **stem}))


def test_a_wide_resnet_is_refused_by_name(weights, tmp_path):
    with pytest.raises(CheckpointError, match='Wide ResNet-50 of width 128'):
        read_teacher(saved(tmp_path, resnet(50, width=128)))


@pytest.mark.parametrize('keep', [0.0, 0.3, 0.999])
def test_a_truncated_file_is_refused(keep, weights, tmp_path):
    path = saved(tmp_path, weights)
    with open(path, 'r+b') as file:
        file.truncate(int(keep * file.seek(0, 2)))
    with pytest.raises(CheckpointError, match='teacher.pth is damaged'):
        read_teacher(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere.pth' does not exist"):
        read_teacher(str(tmp_path / 'nowhere.pth'))
