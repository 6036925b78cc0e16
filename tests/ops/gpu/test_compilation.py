"""The kernels compile for GPUs that are not here, and fit their registers and shared memory."""

import re
import sys

import pytest
import torch

pytest.importorskip('triton')
if sys.platform != 'linux':
    pytest.skip('needs the assembler in the package of Triton', allow_module_level=True)

import compile_gpu_kernels as script  # noqa: E402

from epsanet_mmdet.ops.gpu.blocking import Blocking  # noqa: E402
from epsanet_mmdet.ops.gpu.plan import FLOAT32  # noqa: E402
from epsanet_mmdet.ops.gpu.pointwise import pointwise  # noqa: E402
from epsanet_mmdet.ops.gpu.tiles import ConvTile, PointwiseTile  # noqa: E402


@pytest.fixture(autouse=True)
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))


def run(monkeypatch, capsys, *arguments):
    """The exit code and the lines that the script prints."""
    monkeypatch.setattr(sys, 'argv', ['compile_gpu_kernels.py', *arguments])
    with pytest.raises(SystemExit) as end:
        script.main()
    return end.value.code, capsys.readouterr().out.splitlines()


def test_the_first_stage(monkeypatch, capsys):
    options = '--arch small --capability 89 --precision fp32 --stages 1'.split()
    code, lines = run(monkeypatch, capsys, *options)
    assert code == 0
    (line,) = lines
    assert re.fullmatch(
        r'sm_89 fp32 small: \d+ kernels, at most \d+ registers, 0 bytes spilled, '
        r'\d+ of 101376 bytes shared',
        line,
    )


def test_gradients_of_weights_fit_the_shared_memory(monkeypatch, capsys):
    options = '--arch small --capability 89 --precision tf32 --stages 1'.split()
    code, lines = run(monkeypatch, capsys, *options)
    assert code == 0, '\n'.join(lines)


@pytest.mark.slow
@pytest.mark.parametrize('capability', ['80', '89', '90'])
def test_whole_networks(monkeypatch, capsys, capability):
    options = '--arch small large --precision bf16 --size 1 320 320'.split()
    code, lines = run(monkeypatch, capsys, *options, '--capability', capability)
    assert code == 0, '\n'.join(lines)


def test_registers_that_spill_are_counted():
    """As those of a large tile of products in threes, on a GPU without wgmma."""
    x = torch.empty(1, 64, 64, 64, device='meta')
    weight, out = torch.empty(128, 64, device='meta'), torch.empty(1, 64, 64, 128, device='meta')
    with script.compiled(89) as kernels:
        pointwise(x, weight, out, PointwiseTile(128, 128, 32, 4, 3), FLOAT32, relu=True)
    (found,) = (script.usage(name, kernel) for name, kernel in kernels.items())
    assert found.registers == 255 and found.spilled > 100
    assert found.shared >= 2 * 256 * 32 * 4


def test_other_sizes_of_images_compile_nothing():
    """Though Triton compiles anew for integers that are 1 or divisible by 16, by default."""
    from epsanet_mmdet.ops.gpu.blocked_conv import blocked_conv

    blocking, tile = Blocking(1, 1, 1, 1, 1, 1), ConvTile(16, 16)
    packed, weight = torch.empty(1, 16, 16, device='meta'), torch.empty(16, 16, device='meta')
    with script.compiled(89) as kernels:
        found = set()
        for sides in ((1, 1), (1, 16), (16, 16), (32, 17), (33, 5)):
            x, out = (torch.empty(2, *sides, 16, device='meta') for _ in range(2))
            sums = torch.empty(2, 99, 16, device='meta')
            blocked_conv(x, packed, out, blocking, tile, FLOAT32, sums)
            pointwise(x, weight, out, PointwiseTile(16, 16, 16), FLOAT32, relu=True)
            found |= {id(kernel) for kernel in kernels.values()}
    assert len(found) == 2
