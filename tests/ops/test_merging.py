"""Merging groups changes only how a convolution is computed; exports keep the original groups."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from epsanet_mmdet.deploy import export_onnx
from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.layers.deployed_psa import DeployedPSA, split_groups
from epsanet_mmdet.models.deployed import deploy
from epsanet_mmdet.ops.merging import library_convs, merge_groups, merged_groups


@pytest.mark.parametrize('merged', [1, 2, 4, 8, 16])
def test_a_block_diagonal_weight_gives_the_grouped_convolution(merged):
    x, weight = torch.randn(2, 32, 9, 7), torch.randn(48, 2, 5, 5)
    wide = merge_groups(weight, 16, merged)
    assert wide.shape == (48, 32 // merged, 5, 5)
    torch.testing.assert_close(
        F.conv2d(x, wide, groups=merged), F.conv2d(x, weight, groups=16), atol=1e-4, rtol=1e-5
    )


@pytest.mark.parametrize('merged', [1, 4, 16])
def test_splitting_takes_the_blocks_back(merged):
    weight = torch.randn(48, 2, 5, 3)
    assert torch.equal(split_groups(merge_groups(weight, 16, merged), 16, merged), weight)


def test_merges_until_a_group_is_wide_enough_and_no_further():
    x = torch.empty(0)
    assert merged_groups(64, 16, x) == 4  # 16 channels each
    assert merged_groups(256, 16, x) == 16  # wide enough as they are
    assert merged_groups(8, 8, x) == 1
    assert merged_groups(21, 7, x) == 7  # an odd number of groups has no half


BRANCHES = [
    ((9, 7, 3), (16, 8, 1)),
    ((7, 5, 5, 3), (16, 16, 16, 8)),  # two alike, computed as one
    ((5, 9, 7, 3), (16, 16, 8, 1)),  # and two nearly so
]


@pytest.mark.parametrize('stride, dilation', [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize('sizes, groups', BRANCHES)
def test_the_branches_and_their_gradients_are_those_of_grouped_convolutions(
    sizes, groups, stride, dilation
):
    x = torch.randn(2, 64, 9, 11, dtype=torch.double, requires_grad=True)
    weights = [torch.randn(16, 64 // g, k, k, dtype=torch.double) for k, g in zip(sizes, groups)]
    tensors = [x, *(w.requires_grad_() for w in weights)]
    expected = torch.stack(
        [
            F.conv2d(x, w, None, stride, dilation * (w.shape[-1] // 2), dilation, g)
            for w, g in zip(weights, groups)
        ],
        dim=1,
    )
    actual = library_convs(x, weights, groups, stride, dilation)
    torch.testing.assert_close(actual, expected)
    grad = torch.randn_like(actual)
    for ours, theirs in zip(*(torch.autograd.grad(y, tensors, grad) for y in (actual, expected))):
        torch.testing.assert_close(ours, theirs)


def test_alike_branches_are_one_convolution(monkeypatch):
    calls, conv2d = [], F.conv2d
    monkeypatch.setattr(F, 'conv2d', lambda *a: calls.append(1) or conv2d(*a))
    weights = [torch.randn(16, 4, k, k) for k in (7, 5, 5, 3)]
    library_convs(torch.randn(2, 64, 9, 11), weights, (16,) * 4, 1, 1)
    assert len(calls) == 3


# Exported programs hold the groups of the layer, because another device merges differently.

LAYER_GROUPS = [1, 4, 8, 16]
EXPORTED = {
    'layer': lambda: PSAModule(64, 64).eval(),
    'deployed': lambda: deploy(PSAModule(64, 64).eval()),
}


@pytest.fixture(params=EXPORTED)
def layer(request):
    return EXPORTED[request.param]()


@pytest.mark.parametrize('strict', [False, True])
def test_a_program_of_torch_export_has_the_layer_s_own_groups(layer, strict):
    program = torch.export.export(layer, (torch.randn(2, 64, 9, 11),), strict=strict)
    convs = [n for n in program.graph.nodes if n.target is torch.ops.aten.conv2d.default]
    found = sorted(n.args[6] if len(n.args) > 6 else 1 for n in convs)
    assert [g for g in found if g > 1] == LAYER_GROUPS[1:]
    assert 'epsanet_mmdet' not in program.graph_module.code
    x = torch.randn(2, 64, 9, 11)
    torch.testing.assert_close(program.module()(x), layer(x), rtol=1e-4, atol=1e-5)


def test_torchscript_has_the_layer_s_own_groups(layer):
    traced = torch.jit.trace(layer, torch.randn(2, 64, 9, 11))
    found = []
    for node in traced.inlined_graph.nodes():
        if node.kind() == 'aten::_convolution':
            found.append(node.inputsAt(8).toIValue())
    assert sorted(g for g in found if g > 1) == LAYER_GROUPS[1:]
    assert 'epsanet_mmdet::' not in str(traced.inlined_graph)


class Backbone(nn.Module):
    """A backbone of one PSA module, of images of three channels."""

    def __init__(self):
        super().__init__()
        self.stem, self.psa = nn.Conv2d(3, 64, 1), PSAModule(64, 64)

    def forward(self, x):
        return (self.psa(self.stem(x)),)


def test_an_onnx_model_has_the_layer_s_own_groups(tmp_path):
    onnx = pytest.importorskip('onnx', reason='needs the export extra')
    pytest.importorskip('onnxscript', reason='needs the export extra')
    export_onnx(deploy(Backbone().eval()), tmp_path / 'model.onnx')
    graph = onnx.load(tmp_path / 'model.onnx').graph
    convs = [node for node in graph.node if node.op_type == 'Conv']
    found = sorted({a.name: a for a in node.attribute}['group'].i for node in convs)
    assert [g for g in found if g > 1] == LAYER_GROUPS[1:]


def test_a_deployed_module_has_the_layer_s_own_groups():
    deployed = deploy(PSAModule(64, 64).eval())
    assert isinstance(deployed, DeployedPSA)
    assert [conv.groups for conv in deployed.branches.convs] == LAYER_GROUPS[::-1]
