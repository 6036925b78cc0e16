"""EPSANet against its formulas, the published sizes, and mmdet's documented ResNet options."""

import copy

import pytest
import torch
from epsanet_reference import epsanet
from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import save_checkpoint
from norm_statistics import randomise
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from epsanet_mmdet.models import EPSANet

GROUPS = {'small': (1, 4, 8, 16), 'large': (32,) * 4, 'large-paper': (32,) * 4}
HEAD = 2048 * 1000 + 1000  # ImageNet's classifier


TWO_STAGES = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))


def tiny(**kwargs) -> EPSANet:
    """Two narrow stages: whatever holds for every block shows here."""
    return EPSANet(50, **{**TWO_STAGES, **kwargs})


def shapes(model: nn.Module) -> dict:
    """Shapes of all tensors but those that PSA replaces."""
    return {k: tuple(v.shape) for k, v in model.state_dict().items() if '.conv2.' not in k}


# The formulas


@pytest.mark.parametrize('size', [(1, 1), (7, 5), (33, 47)], ids=lambda s: f'{s[0]}x{s[1]}')
@pytest.mark.parametrize('arch', ['small', 'large'])
def test_outputs_equal_the_formulas(arch, size):
    model = randomise(EPSANet(50, arch)).eval()
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        actual = model(x)
        expected = epsanet(x.double(), copy.deepcopy(model).double().state_dict(), GROUPS[arch])
    for ours, theirs in zip(actual, expected, strict=True):
        scale = theirs.abs().max()
        torch.testing.assert_close(ours / scale, theirs.float() / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_gradients_equal_the_formulas_in_training(arch):
    model = randomise(EPSANet(50, arch, norm_eval=False)).double().train()
    before = copy.deepcopy(model.state_dict())
    parameters = dict(model.named_parameters())
    x = torch.randn(2, 3, 33, 47, dtype=torch.float64, requires_grad=True)
    wanted = [x, *parameters.values()]

    actual = model(x)
    expected = epsanet(x, {**before, **parameters}, GROUPS[arch], train=True)

    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)
    weights = [torch.randn_like(out) for out in actual]
    gradients = [
        torch.autograd.grad(sum((w * o).sum() for w, o in zip(weights, outs)), wanted)
        for outs in (actual, expected)
    ]
    for name, ours, theirs in zip(['input', *parameters], *gradients, strict=True):
        scale = theirs.abs().max().clamp(min=1e-4)
        assert (ours - theirs).abs().max() <= 1e-5 * scale, name


# The published models


@pytest.mark.parametrize(
    'depth, arch, millions',
    [
        (50, 'small', '22.56'),
        (50, 'large', '27.90'),
        (101, 'small', '38.90'),
        (101, 'large', '49.59'),
        (50, 'large-paper', '30.10'),
        (101, 'large-paper', '53.74'),
    ],
)
def test_has_the_published_number_of_parameters(depth, arch, millions):
    count = sum(p.numel() for p in EPSANet(depth, arch).parameters()) + HEAD
    assert f'{count / 1e6:.2f}' == millions


def test_depth_152_has_resnet_152s_blocks():
    model = EPSANet(152)
    assert [len(getattr(model, f'layer{i}')) for i in (1, 2, 3, 4)] == [3, 8, 36, 3]


def test_a_preset_is_its_kernel_sizes_groups_and_width():
    spelled_out = EPSANet(50, kernel_sizes=(3, 5, 5, 7), groups=(32,) * 4, width=128)
    spelled_out.load_state_dict(EPSANet(50, 'large').state_dict())


@pytest.mark.parametrize('width', [16, 32, 64, 128, 256])
def test_any_width_that_divides_256_keeps_the_stages_outputs(width):
    model = tiny(width=width, groups=(1, 1, 2, 4)).eval()
    with torch.no_grad():
        outs = model(torch.randn(1, 3, 16, 16))
    assert [out.shape[1] for out in outs] == [256, 512]
    assert model.layer1[0].conv2.conv_1.weight.shape[:2] == (width // 4, width)


def test_names_are_torchvisions_with_psa_at_conv2():
    names = set(EPSANet(50).state_dict())
    assert {'conv1.weight', 'bn1.weight', 'layer4.2.bn3.running_var'} <= names
    assert {'layer1.0.downsample.0.weight', 'layer1.0.conv2.conv_1.weight'} <= names
    assert {'layer3.5.conv2.se.fc1.weight', 'layer3.5.conv2.se.fc2.bias'} <= names


# mmdet's documented ResNet behaviours

OPTIONS = [
    TWO_STAGES,
    dict(TWO_STAGES, deep_stem=True),
    dict(TWO_STAGES, avg_down=True),
    dict(TWO_STAGES, deep_stem=True, avg_down=True, stem_channels=32),
    dict(TWO_STAGES, style='caffe'),
    dict(TWO_STAGES, in_channels=1),
    dict(TWO_STAGES, norm_cfg=dict(type='GN', num_groups=32)),
    dict(TWO_STAGES, conv_cfg=dict(type='ConvWS')),
    dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)),
    dict(out_indices=(1, 3)),
    dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
    dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
]


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_every_option_does_what_it_does_to_resnet(options):
    ours, resnet = EPSANet(50, **options).eval(), ResNet(50, **options)
    resnet.eval()
    assert shapes(ours) == shapes(resnet)
    x = torch.randn(1, options.get('in_channels', 3), 38, 21)
    with torch.no_grad():
        assert [o.shape for o in ours(x)] == [o.shape for o in resnet(x)]


def test_large_outputs_have_resnets_shapes_too():
    with torch.no_grad():
        outs = EPSANet(50, 'large').eval()(torch.randn(1, 3, 38, 21))
    assert [tuple(o.shape[1:]) for o in outs] == [
        (256, 10, 6),
        (512, 5, 3),
        (1024, 3, 2),
        (2048, 2, 1),
    ]


@pytest.mark.parametrize('style, strided', [('pytorch', 'conv2'), ('caffe', 'conv1')])
def test_style_says_which_convolution_strides(style, strided):
    block = tiny(style=style).layer2[0]
    strides = {'conv1': block.conv1.stride[0], 'conv2': block.conv2.conv_1.stride[0]}
    assert strides.pop(strided) == 2
    assert set(strides.values()) == {1}


def test_dilation_reaches_every_branch():
    model = EPSANet(50, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    for block in model.layer4:
        for i in (1, 2, 3, 4):
            conv = getattr(block.conv2, f'conv_{i}')
            assert conv.dilation == (2, 2) and conv.stride == (1, 1)


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2, 3, 4])
def test_frozen_stages_neither_learn_nor_update_statistics(frozen_stages):
    model = EPSANet(50, frozen_stages=frozen_stages, norm_eval=False).train()
    frozen = ['conv1', 'bn1'][: 2 * (frozen_stages >= 0)]
    frozen += [f'layer{i}' for i in range(1, frozen_stages + 1)]
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != (name.split('.')[0] in frozen), name
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            assert module.training != (name.split('.')[0] in frozen), name


def test_frozen_deep_stem():
    model = tiny(frozen_stages=0, deep_stem=True).train()
    assert not any(p.requires_grad for p in model.stem.parameters())


@pytest.mark.parametrize('norm_eval', [True, False])
def test_norm_eval_keeps_the_statistics_in_training(norm_eval):
    model = tiny(norm_eval=norm_eval).train()
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(2, 3, 16, 16))
    changed = {
        k for k, v in model.state_dict().items() if 'running' in k and not v.equal(before[k])
    }
    assert bool(changed) != norm_eval


def test_train_and_eval_return_the_backbone():
    model = tiny()
    assert model.train() is model and model.train(False) is model and model.eval() is model
    assert not model.training


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_checkpointing_activations_changes_no_gradient(arch):
    plain = tiny(arch=arch).train()
    saving = tiny(arch=arch, with_cp=True).train()
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 33, 31)
    for model in (plain, saving):
        sum(out.square().mean() for out in model(x)).backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=lambda m, n=name: f'{n}: {m}')


@pytest.mark.parametrize('arch', ['small', 'large'])
@pytest.mark.parametrize('position', ['after_conv1', 'after_conv2', 'after_conv3'])
def test_plugins_go_after_each_convolution_of_the_stages_named(arch, position):
    plugin = dict(
        cfg=dict(type='ContextBlock', ratio=1 / 4), stages=(False, True), position=position
    )
    model = tiny(arch=arch, plugins=[plugin]).eval()
    assert not hasattr(model.layer1[0], 'context_block')
    width = {'after_conv3': 512}.get(position, 128 if arch == 'small' else 256)
    seen = []
    for block in model.layer2:
        assert block.context_block.in_channels == width
        block.context_block.register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        model(torch.randn(1, 3, 16, 16))
    assert len(seen) == len(model.layer2)


def test_group_norm_trains_with_one_image():
    model = tiny(norm_cfg=dict(type='GN', num_groups=32), norm_eval=False).train()
    assert not any(isinstance(m, _BatchNorm) for m in model.modules())
    sum(out.sum() for out in model(torch.randn(1, 3, 16, 16))).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_synchronised_batch_norm_reverts_to_the_same_numbers():
    synchronised = tiny(norm_cfg=dict(type='SyncBN', requires_grad=True))
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in synchronised.modules()) == 24
    plain = tiny().eval()
    plain.load_state_dict(synchronised.state_dict())
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        for a, b in zip(revert_sync_batchnorm(synchronised).eval()(x), plain(x)):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize('zero', [True, False])
def test_zero_init_residual_starts_each_block_as_its_shortcut(zero):
    model = tiny(zero_init_residual=zero)
    model.init_weights()
    for block in (*model.layer1, *model.layer2):
        assert (block.norm3.weight == (0 if zero else 1)).all()
    block, x = model.layer1[1].eval(), torch.rand(1, 256, 4, 4)
    with torch.no_grad():
        assert block(x).equal(x) == zero


def test_random_initialisation_is_mmdets_of_resnet():
    model = tiny()
    model.init_weights()
    weight = model.layer2[0].conv2.conv_1.weight  # 32 x 128 x 3 x 3: kaiming, fan out, relu
    assert weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)
    assert (model.layer2[0].conv2.se.fc1.bias == 0).all()


def test_a_copy_loads_and_runs_by_itself():
    model = tiny().eval()
    clone = copy.deepcopy(model)
    clone.load_state_dict(model.state_dict())
    with torch.no_grad():
        clone.conv1.weight.zero_()
    assert model.conv1.weight.abs().sum() > 0


# Weights


def test_a_checkpoint_of_the_authors_training_script_loads_directly(tmp_path):
    trained = randomise(EPSANet(50)).eval()
    state = {f'module.{k}': v for k, v in trained.state_dict().items()}
    state['module.fc.weight'] = torch.randn(1000, 2048)
    state['module.fc.bias'] = torch.randn(1000)
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    checkpoint = {
        'epoch': 120,
        'arch': 'epsanet50',
        'state_dict': state,
        'best_prec1': torch.tensor(77.49),
        'optimizer': optimizer.state_dict(),
    }
    torch.save(checkpoint, tmp_path / 'model_best.pth.tar')

    model = MODELS.build(
        dict(
            type='EPSANet',
            depth=50,
            init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'model_best.pth.tar')),
        )
    )
    model.init_weights()

    x = torch.randn(1, 3, 33, 47)
    with torch.no_grad():
        for ours, theirs in zip(model.eval()(x), trained(x)):
            assert ours.equal(theirs)


def test_a_detectors_backbone_loads_by_prefix(tmp_path):
    trained = tiny()
    state = {f'backbone.{k}': v for k, v in trained.state_dict().items()}
    path = str(tmp_path / 'detector.pth')
    save_checkpoint(dict(state_dict={**state, 'rpn_head.x': torch.ones(1)}), path)
    model = tiny(init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))
    model.init_weights()
    assert all(v.equal(trained.state_dict()[k]) for k, v in model.state_dict().items())


# Bad input


@pytest.mark.parametrize(
    'arguments, named',
    [
        (dict(depth=34), ('depth=34', '50, 101, 152')),
        (dict(depth='50'), ("depth='50'", '50, 101, 152')),
        (dict(depth=50, arch='medium'), ("arch='medium'", "'small', 'large', 'large-paper'")),
        (dict(depth=50, width=96), ('width=96', '256')),
        (dict(depth=50, width=0), ('width=0', '256')),
        (dict(depth=50, width=-64), ('width=-64', '256')),
        (dict(depth=50, width=8), ('groups=4',)),
        (dict(depth=50, groups=(1, 4, 8, 64)), ('groups=64',)),
        (dict(depth=50, kernel_sizes=(2, 5, 7, 9)), ('odd', '2')),
        (
            dict(depth=50, kernel_sizes=(3, 5, 7)),
            ('kernel_sizes=(3, 5, 7)', 'groups=(1, 4, 8, 16)'),
        ),
        (dict(depth=50, kernel_sizes=()), ('kernel_sizes=()',)),
        (dict(depth=50, dcn=dict(type='DCNv2')), ('dcn',)),
    ],
)
def test_refuses_bad_arguments_in_one_line_that_names_them(arguments, named):
    with pytest.raises(ValueError) as caught:
        MODELS.build(dict(type='EPSANet', **arguments))
    message = str(caught.value)
    assert all(part in message for part in named) and '\n' not in message
