"""The kernels follow torch's settings of types and precisions."""

import subprocess
import sys

import pytest
import torch

from epsanet_mmdet.ops.gpu.compute import compute_of
from epsanet_mmdet.ops.gpu.plan import FLOAT32, HALF, TF32

X = torch.zeros(1, 16, 2, 2)


@pytest.mark.parametrize('allowed, precision', [(True, TF32), (False, FLOAT32)])
def test_float32_is_rounded_where_torch_allows_it(monkeypatch, allowed, precision):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', allowed)
    assert compute_of(X)[:2] == (torch.float32, precision)


def test_autocast_decides_the_type():
    with torch.autocast('cpu', torch.bfloat16):
        assert compute_of(X)[:2] == (torch.bfloat16, HALF)


@pytest.mark.parametrize('dtype', [torch.float64, torch.int32])
def test_other_types_are_left_to_torch(dtype):
    assert compute_of(X.to(dtype)) is None


@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn.conv, 'fp32_precision'), reason='a setting of newer torch'
)
@pytest.mark.parametrize('setting, precision', [('tf32', TF32), ('ieee', FLOAT32)])
def test_the_newer_settings_of_torch(setting, precision):
    code = (
        'import torch\n'
        'from epsanet_mmdet.ops.gpu.compute import compute_of\n'
        f'torch.backends.cudnn.conv.fp32_precision = {setting!r}\n'
        'print(compute_of(torch.zeros(1, 16, 2, 2)).precision)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == [precision], done.stderr  # OneDL prints, too
