"""The faster implementations can be deleted: without them the package computes the same."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from closeness import assert_close
from conftest import ROOT
from norm_statistics import randomise

from epsanet_mmdet.models import EPSANet

TESTS = (
    'layers/test_fusable.py',
    'layers/test_psa.py',
    'models/test_epsanet.py',
    'models/test_deployed.py',
)
COMPUTE = """
import sys
import torch
import epsanet_mmdet
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.layers.fusable import FUSED

assert not FUSED and 'epsanet_mmdet.ops' not in sys.modules
case = torch.load(sys.argv[1])
model = EPSANet(50, case['arch'], norm_eval=False)
model.load_state_dict(case['state'])
with torch.no_grad():
    outputs = model.eval()(case['images'])
loss = sum(out.square().mean() for out in model.train()(case['images']))
loss.backward()
torch.optim.SGD(model.parameters(), lr=0.1).step()
torch.save(dict(outputs=outputs, loss=loss.detach(), state=model.state_dict()), sys.argv[2])
"""
# An editable install of the package would find the modules that the tree lacks.
WITHOUT_EDITABLE = """
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if '__editable__' not in str(finder)]
"""


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """A copy of the project without ``epsanet_mmdet/ops`` and its tests."""
    tree = tmp_path_factory.mktemp('without') / 'project'
    others = ('.git', '.venv*', '*.egg-info', '__pycache__', 'build', 'work_dirs')
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns('ops', *others))
    assert not (tree / 'epsanet_mmdet' / 'ops').exists()
    (tree / 'sitecustomize.py').write_text(WITHOUT_EDITABLE)
    return tree


def run_python(tree, *arguments):
    environment = {**os.environ, 'PYTHONPATH': str(tree)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_outputs_and_a_training_step_are_the_same(tree, tmp_path, arch):
    model, images = randomise(EPSANet(50, arch, norm_eval=False)), torch.randn(2, 3, 96, 64)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    torch.save(dict(arch=arch, state=state, images=images), tmp_path / 'case.pth')
    result = run_python(tree, '-c', COMPUTE, tmp_path / 'case.pth', tmp_path / 'result.pth')
    assert result.returncode == 0, result.stderr
    theirs = torch.load(tmp_path / 'result.pth')

    with torch.no_grad():
        outputs = model.eval()(images)
    loss = sum(out.square().mean() for out in model.train()(images))
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()

    for a, b in zip(outputs, theirs['outputs'], strict=True):
        assert_close(a, b)
    assert_close(loss.detach(), theirs['loss'])
    for name, value in model.state_dict().items():
        if 'running' in name:
            assert_close(value, theirs['state'][name])
        else:  # a gradient's rounding, of a step of 0.1
            torch.testing.assert_close(value, theirs['state'][name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow(minutes=2)
def test_the_other_tests_pass(tree):
    tests = [tree / 'tests' / name for name in TESTS]
    options = ['-q', '-x', '-p', 'no:cacheprovider', '-m', 'not slow']
    result = run_python(tree, '-m', 'pytest', *options, *tests)
    assert result.returncode == 0, result.stdout[-4000:]
    assert 'passed' in result.stdout
