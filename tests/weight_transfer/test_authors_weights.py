"""Published ResNets with attention convert completely and compute what their own code does."""

from typing import Callable, Dict, NamedTuple

import authors_networks as theirs
import classifier_files as files
import pytest
import torch
from mmdet.registry import MODELS
from tool_process import run_tool
from torch import Tensor

from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.weight_transfer.conversion import convert_weights

EVERY_STAGE = (True,) * 4


def plugin(type: str, stages=EVERY_STAGE, **options) -> dict:
    return dict(cfg=dict(type=type, **options), stages=stages, position='after_conv3')


def eca(kernel_sizes: str) -> list:
    """A plugin for each size of the kernel, in the stages that have it."""
    sizes = [int(size) for size in kernel_sizes]
    return [
        plugin('ECALayer2d', tuple(s == size for s in sizes), kernel_size=size)
        for size in sorted(set(sizes))
    ]


class Case(NamedTuple):
    """A network: its weights, what its code does with them, and our backbone."""

    weights: Callable[[], Dict[str, Tensor]]
    code: dict
    backbone: dict


def cadene(attention=files.cadene_se, **options) -> Dict[str, Tensor]:
    return files.cadene_names(files.resnet(attention=attention, **options))


def ecanet(kernel_sizes: str) -> Case:
    sizes = [int(size) for size in kernel_sizes]
    return Case(
        lambda: files.resnet(attention=files.authors_eca_of(sizes)),
        dict(attention=theirs.efficient_channel),
        dict(type='ResNet', plugins=eca(kernel_sizes)),
    )


BAM = dict(
    type='StagePluginResNet',
    stage_plugins=[dict(cfg=dict(type='BAM2d', as_coded=True), stages=(True, True, True, False))],
)
CADENE_SE = theirs.squeeze_excitation('se_module.fc1', 'se_module.fc2')
SE = [plugin('SELayer2d', bias=True)]
CASES = {
    'CBAM-ResNet-50': Case(
        lambda: files.resnet(attention=files.authors_cbam),
        dict(attention=theirs.cbam),
        dict(type='ResNet', plugins=[plugin('CBAM2d', as_coded=True)]),
    ),
    'FcaNet-50': Case(
        lambda: files.resnet(attention=files.authors_fca),
        dict(attention=theirs.frequency),
        dict(type='ResNet', plugins=[plugin('FcaLayer2d')]),
    ),
    "senet.pytorch's se_resnet50": Case(
        lambda: files.resnet(attention=files.linear_se),
        dict(attention=theirs.squeeze_excitation('se.fc.0', 'se.fc.2')),
        dict(type='ResNet', plugins=[plugin('SELayer2d')]),
    ),
    'BAM-ResNet-50': Case(files.bam_resnet, dict(after_stage=theirs.bam), BAM),
    "timm's seresnet50": Case(
        lambda: files.resnet(attention=files.timm_se),
        dict(attention=theirs.squeeze_excitation('se.fc1', 'se.fc2')),
        dict(type='ResNet', plugins=SE),
    ),
    "Cadene's se_resnet50": Case(
        cadene,
        dict(attention=CADENE_SE, caffe=True, stride_in=1),
        dict(type='CaffePoolResNet', style='caffe', plugins=SE),
    ),
    "Cadene's se_resnext50_32x4d": Case(
        lambda: cadene(conv2=files.resnext_conv2, width=128),
        dict(attention=CADENE_SE, caffe=True),
        dict(type='CaffePoolResNeXt', groups=32, base_width=4, plugins=SE),
    ),
    **{f'ECANet-50 k{k}': ecanet(k) for k in ('3377', '3557', '5555')},
}


def calm(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Scale random weights such that activations stay of one size through all layers."""
    return {
        name: value / (value[0].numel() ** 0.5) if value.ndim > 1 and 'dct' not in name else value
        for name, value in state.items()
    }


def convert(state: Dict[str, Tensor], backbone: dict, folder):
    torch.save(dict(state_dict={f'module.{k}': v for k, v in state.items()}), folder / 'in.pth')
    return convert_weights(
        folder / 'in.pth', folder / 'out.pth', backbone=dict(depth=50, **backbone)
    )


@pytest.mark.parametrize('name', CASES)
def test_loads_whole_and_computes_the_same(name, tmp_path):
    case = CASES[name]
    state = calm(case.weights())

    assert convert(state, case.backbone, tmp_path).comparison.complete
    converted = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    model = MODELS.build(dict(depth=50, **case.backbone))
    missing, unexpected = model.load_state_dict(converted, strict=False)
    assert not unexpected and all(key.endswith('num_batches_tracked') for key in missing)

    model.double().eval()
    x = torch.randn(2, 3, 70, 96, dtype=torch.double)  # of no size that hides how pooling pads
    expected = theirs.features({k: v.double() for k, v in state.items()}, x, **case.code)
    with torch.no_grad():
        for ours, wanted in zip(model(x), expected):
            torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize('name, layer', [('CBAM-ResNet-50', 'CBAM2d'), ('BAM-ResNet-50', 'BAM2d')])
def test_the_papers_form_refuses_the_authors_weights(name, layer, tmp_path):
    """They fit BAM tensor by tensor, and would compute something else without a word."""
    backbone = dict(CASES[name].backbone)
    (key,) = set(backbone) & {'plugins', 'stage_plugins'}
    backbone[key] = [{**p, 'cfg': dict(type=layer)} for p in backbone[key]]
    with pytest.raises(CheckpointError, match=f'set as_coded=True .* {layer}') as caught:
        convert(CASES[name].weights(), backbone, tmp_path)
    assert '\n' not in str(caught.value) and not (tmp_path / 'out.pth').exists()


def test_torchvisions_resnet_starts_an_aff_resnet(tmp_path):
    backbone = dict(type='AFFResNet', deep_stem=False, avg_down=False)
    comparison = convert(files.resnet(), backbone, tmp_path).comparison
    assert not comparison.unexpected and not comparison.reshaped
    assert comparison.missing and all('.fusion.' in name for name in comparison.missing)


@pytest.mark.slow
def test_the_tool_prints_the_remedy_and_follows_it(tmp_path):
    """The shipped config has the paper's CBAM; one of a user's own takes the authors' weights."""
    torch.save(CASES['CBAM-ResNet-50'].weights(), tmp_path / 'cbam.pth')
    shipped = 'mask-rcnn_cbam50_fpn_1x_coco'
    (tmp_path / 'as_coded.py').write_text(
        f"_base_ = '{configs_dir() / 'cbam' / shipped}.py'\n"
        'model = dict(backbone=dict(plugins=[dict(\n'
        "    cfg=dict(type='CBAM2d', as_coded=True), position='after_conv3')]))\n"
    )

    def run(config):
        arguments = ('cbam.pth', 'out.pth', '--config', config)
        return run_tool('convert_weights.py', *arguments, cwd=tmp_path)

    refused = run(shipped)
    assert refused.returncode == 1
    (line,) = refused.stderr.strip().splitlines()
    assert line.startswith('error: ') and 'as_coded=True' in line
    done = run('as_coded.py')
    assert done.returncode == 0, done.stderr
    (total,) = [line for line in done.stdout.splitlines() if line.split()[:1] == ['all']]
    assert total.split()[2:] == ['0', '0', '0']
