"""Classifiers of other projects convert completely, or are refused with the reason."""

import pytest
import torch
from classifier_files import (
    authors_checkpoint,
    authors_eca,
    backbone_part,
    linear_se,
    psa,
    resnet,
    timm_eca,
    timm_se,
)
from mmdet.registry import MODELS
from tool_process import run_tool

from epsanet_mmdet.checkpoint import PretrainedIfPresent
from epsanet_mmdet.errors import CheckpointError, ConfigError
from epsanet_mmdet.weight_transfer.conversion import convert_weights

SMALL = dict(type='EPSANet', depth=50, arch='small')


def plugin(kind: str) -> dict:
    return dict(
        type='ResNet', depth=50, plugins=[dict(cfg=dict(type=kind), position='after_conv3')]
    )


def save(content, path) -> str:
    torch.save(content, path)
    return str(path)


def converted(path) -> dict:
    return torch.load(path, weights_only=True)['state_dict']


def refusal(source, target, tmp_path) -> str:
    out = tmp_path / 'out.pth'
    with pytest.raises(CheckpointError) as caught:
        convert_weights(save(source, tmp_path / 'source.pth'), out, backbone=target)
    assert not out.exists()
    message = str(caught.value)
    assert '\n' not in message and 'source.pth' in message
    return message


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_the_authors_checkpoint_converts_bit_for_bit(arch, tmp_path):
    options = {}
    state = authors_checkpoint()['state_dict']
    if arch == 'large':
        options = dict(kernel_sizes=(3, 5, 5, 7), groups=(32,) * 4)
        large = resnet(conv2=lambda width: psa(width, **options), width=128)
        state = {f'module.{name}': value for name, value in large.items()}
    source = save({**authors_checkpoint(), 'state_dict': state}, tmp_path / 'model_best.pth.tar')
    out = tmp_path / 'out.pth'

    result = convert_weights(source, out, backbone=dict(type='EPSANet', depth=50, arch=arch))

    assert result.comparison.complete
    given = backbone_part({name.removeprefix('module.'): v for name, v in state.items()})
    assert set(converted(out)) == set(given)
    assert all(converted(out)[name].equal(value) for name, value in given.items())
    # and the detector's own loading takes it
    model = MODELS.build(dict(type='mmdet.EPSANet', depth=50, arch=arch))
    PretrainedIfPresent(checkpoint=str(out))(model)
    assert all(model.state_dict()[name].equal(value) for name, value in given.items())


def test_timms_eca_matches_completely(tmp_path):
    state = resnet(attention=timm_eca)
    source = save(state, tmp_path / 'source.pth')
    result = convert_weights(source, tmp_path / 'out.pth', backbone=plugin('ECALayer2d'))
    assert result.comparison.complete
    ours = converted(tmp_path / 'out.pth')['layer4.2.eca_layer2d.conv.weight']
    assert ours.equal(state['layer4.2.se.conv.weight'])


def test_a_shorter_eca_kernel_is_padded_and_computes_the_same(tmp_path):
    state = resnet(attention=authors_eca)
    source = save(state, tmp_path / 'source.pth')
    backbone = plugin('ECALayer2d')
    assert convert_weights(source, tmp_path / 'out.pth', backbone=backbone).comparison.complete
    model = MODELS.build({**backbone, 'type': 'mmdet.ResNet'})
    model.load_state_dict(converted(tmp_path / 'out.pth'))
    x = torch.randn(2, 256, 4, 5)
    theirs = torch.nn.Conv1d(1, 1, 3, padding=1, bias=False)
    theirs.weight.data = state['layer1.0.eca.conv.weight']
    gate = theirs(x.mean(dim=(2, 3))[:, None]).sigmoid()[:, 0, :, None, None]
    assert torch.allclose(model.layer1[0].eca_layer2d(x), x * gate, atol=1e-6)


def test_attention_of_another_type_is_not_confused_with_ours(tmp_path):
    """SE and FcaNet have the same shapes, and compute different things."""
    source = save(resnet(attention=linear_se), tmp_path / 'source.pth')
    result = convert_weights(source, tmp_path / 'out.pth', backbone=plugin('FcaLayer2d'))
    assert len(result.comparison.missing) == len(result.comparison.unexpected) == 32


def test_biases_that_ours_lacks_are_reported(tmp_path):
    source = save(resnet(attention=timm_se), tmp_path / 'source.pth')
    comparison = convert_weights(
        source, tmp_path / 'out.pth', backbone=plugin('SELayer2d')
    ).comparison
    assert not comparison.missing and not comparison.reshaped
    assert len(comparison.unexpected) == 32
    assert all(name.endswith('bias') for name in comparison.unexpected)


def test_missing_tensors_are_left_out(tmp_path):
    source = save(resnet(), tmp_path / 'resnet50.pth')
    result = convert_weights(source, tmp_path / 'out.pth', backbone=plugin('SELayer2d'))
    assert len(result.comparison.missing) == 32
    assert not any('se_layer2d' in name for name in converted(tmp_path / 'out.pth'))


def test_safetensors_become_a_checkpoint(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    state = resnet()
    safetensors.save_file(state, tmp_path / 'model.safetensors')
    backbone = dict(type='ResNet', depth=50)
    result = convert_weights(
        tmp_path / 'model.safetensors', tmp_path / 'out.pth', backbone=backbone
    )
    assert result.comparison.complete
    assert converted(tmp_path / 'out.pth')['layer4.2.conv3.weight'].equal(
        state['layer4.2.conv3.weight']
    )


def test_another_depth_is_named(tmp_path):
    message = refusal(authors_checkpoint(101), SMALL, tmp_path)
    assert '101 layers' in message and '50 layers' in message
    message = refusal(resnet(50), dict(type='ResNet', depth=101), tmp_path)
    assert 'has 50 layers' in message and 'has 101 layers' in message


def test_small_instead_of_large_is_named(tmp_path):
    large = dict(type='EPSANet', depth=50, arch='large')
    message = refusal(authors_checkpoint(), large, tmp_path)
    assert 'EPSANet-50 small' in message and 'EPSANet-50 large' in message


def test_unpublished_branches_are_described(tmp_path):
    other = authors_checkpoint(kernel_sizes=(3, 3, 5, 5))
    assert 'kernels (3, 3, 5, 5)' in refusal(other, SMALL, tmp_path)


def test_a_plain_resnet_is_referred_to_the_transplant(tmp_path):
    message = refusal(resnet(), SMALL, tmp_path)
    assert 'ResNet-50' in message and 'epsanet transplant' in message


def test_a_wide_resnet_is_named(tmp_path):
    message = refusal(resnet(width=128), dict(type='ResNet', depth=50), tmp_path)
    assert 'of width 128' in message


def test_another_network_is_named(tmp_path):
    state = {f'blocks.{i}.attn.qkv.weight': torch.ones(3) for i in range(5)}
    message = refusal(state, SMALL, tmp_path)
    assert 'not a ResNet' in message and 'blocks.0.attn.qkv.weight' in message


def test_weights_of_a_diverged_training_are_refused(tmp_path):
    state = resnet()
    state['layer3.1.conv2.weight'][0, 0, 0, 0] = float('nan')
    message = refusal(state, dict(type='ResNet', depth=50), tmp_path)
    assert 'layer3.1.conv2.weight' in message and 'not finite' in message


def test_a_config_names_backbone_and_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = save(authors_checkpoint(), tmp_path / 'source.pth')
    result = convert_weights(source, config='mask-rcnn_epsanet50-s_fpn_1x_coco')
    assert result.out == 'checkpoints/epsanet50-s.pth' and result.in_use
    other = convert_weights(source, 'other.pth', config='mask-rcnn_epsanet50-s_fpn_1x_coco')
    assert not other.in_use
    assert (tmp_path / 'checkpoints' / 'epsanet50-s.pth').is_file()


def test_a_config_of_a_pre_training_is_accepted(tmp_path):
    source = save(authors_checkpoint(), tmp_path / 'source.pth')
    result = convert_weights(source, tmp_path / 'out.pth', config='epsanet50-s_8xb32_in1k')
    assert result.comparison.complete


def test_a_config_without_a_file_needs_one(tmp_path):
    source = save(resnet(), tmp_path / 'source.pth')
    with pytest.raises(ConfigError, match='name the file to write'):
        convert_weights(source, config='mask-rcnn_resnet50_fpn_1x_coco')


def test_the_source_is_not_overwritten(tmp_path):
    source = save(authors_checkpoint(), tmp_path / 'source.pth')
    with pytest.raises(ConfigError, match='source itself'):
        convert_weights(source, source, backbone=SMALL)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    source = save(resnet(), tmp_path / 'source.pth')
    out = tmp_path / 'file' / 'out.pth'
    with pytest.raises(Exception, match='cannot write') as caught:
        convert_weights(source, out, backbone=dict(type='ResNet', depth=50))
    assert str(tmp_path / 'file') in str(caught.value)


def test_the_report_has_a_line_for_each_stage_and_the_next_step(tmp_path):
    source = save(resnet(attention=timm_se), tmp_path / 'source.pth')
    result = convert_weights(source, tmp_path / 'out.pth', backbone=plugin('SELayer2d'))
    lines = str(result).splitlines()
    assert lines[0] == 'plain weights'
    assert [line.split()[0] for line in lines[2:8]] == ['stem', *['stage'] * 4, 'all']
    assert lines[7].split()[1:] == ['297', '0', '32', '0']
    assert lines[8].startswith('unexpected such as: layer1.0.se.fc1.bias')
    assert lines[9] == f'Written to {tmp_path / "out.pth"}'
    assert lines[10].startswith('note: not all tensors matched')
    assert lines[11].startswith('Use it with --cfg-options model.backbone.init_cfg.checkpoint=')


@pytest.mark.slow
def test_the_tool_prints_table_and_remedy(tmp_path):
    source = save(authors_checkpoint(), tmp_path / 'source.pth')

    def run(*arguments):
        return run_tool('convert_weights.py', source, *arguments, cwd=tmp_path)

    done = run('--config', 'mask-rcnn_epsanet50-s_fpn_1x_coco')
    assert done.returncode == 0, done.stderr
    assert 'epoch 120' in done.stdout and '377            0' in done.stdout
    assert 'checkpoints/epsanet50-s.pth' in done.stdout
    done = run('out.pth', '--backbone', 'type=EPSANet', 'depth=101', 'arch=small')
    assert done.returncode == 1 and done.stderr.strip().startswith('error: ')
    assert len(done.stderr.strip().splitlines()) == 1
