"""What is exported for other programs holds the layer's own groups, wherever it was exported."""

import pytest
import torch
from torch import nn

from epsanet_mmdet.deploy import export_onnx
from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.layers.deployed_psa import DeployedPSA
from epsanet_mmdet.models.deployed import deploy

GROUPS = [1, 4, 8, 16]
LAYERS = {
    'layer': lambda: PSAModule(64, 64).eval(),
    'deployed': lambda: deploy(PSAModule(64, 64).eval()),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param]()


@pytest.mark.parametrize('strict', [False, True])
def test_torch_export(layer, strict):
    program = torch.export.export(layer, (torch.randn(2, 64, 9, 11),), strict=strict)
    convs = [n for n in program.graph.nodes if n.target is torch.ops.aten.conv2d.default]
    found = sorted(n.args[6] if len(n.args) > 6 else 1 for n in convs)
    assert [g for g in found if g > 1] == GROUPS[1:]
    assert 'epsanet_mmdet' not in program.graph_module.code
    x = torch.randn(2, 64, 9, 11)
    torch.testing.assert_close(program.module()(x), layer(x), rtol=1e-4, atol=1e-5)


def test_torchscript(layer):
    traced = torch.jit.trace(layer, torch.randn(2, 64, 9, 11))
    found = []
    for node in traced.inlined_graph.nodes():
        if node.kind() == 'aten::_convolution':
            found.append(node.inputsAt(8).toIValue())
    assert sorted(g for g in found if g > 1) == GROUPS[1:]
    assert 'epsanet_mmdet::' not in str(traced.inlined_graph)


class Backbone(nn.Module):
    """A backbone of one PSA module, of images of three channels."""

    def __init__(self):
        super().__init__()
        self.stem, self.psa = nn.Conv2d(3, 64, 1), PSAModule(64, 64)

    def forward(self, x):
        return (self.psa(self.stem(x)),)


def test_onnx(tmp_path):
    onnx = pytest.importorskip('onnx', reason='needs the export extra')
    pytest.importorskip('onnxscript', reason='needs the export extra')
    export_onnx(deploy(Backbone().eval()), tmp_path / 'model.onnx')
    graph = onnx.load(tmp_path / 'model.onnx').graph
    convs = [node for node in graph.node if node.op_type == 'Conv']
    found = sorted({a.name: a for a in node.attribute}['group'].i for node in convs)
    assert [g for g in found if g > 1] == GROUPS[1:]


def test_a_deployed_module_holds_its_own_groups():
    deployed = deploy(PSAModule(64, 64).eval())
    assert isinstance(deployed, DeployedPSA)
    assert [conv.groups for conv in deployed.branches.convs] == GROUPS[::-1]
