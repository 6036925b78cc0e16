"""A kernel that computes something else than torch is found before its first use on a GPU."""

import functools

import pytest
import torch

from epsanet_mmdet.ops.gpu import verify
from epsanet_mmdet.ops.gpu.blocking import Blocking
from epsanet_mmdet.ops.gpu.plan import FLOAT32, HALF, SPLIT, TF32
from epsanet_mmdet.ops.gpu.tiles import ConvTile, PointwiseTile
from epsanet_mmdet.ops.gpu.verify import VerificationError, bound, check_close

CPU = torch.device('cpu')
TYPES = [(torch.float32, FLOAT32), (torch.float32, TF32), (torch.bfloat16, HALF)]
BLOCKING, TILE = Blocking(4, 2, 1, 2, 2, 3), ConvTile(16, 32)


def cases(dtype, precision):
    """A kernel of each kind, and the values that it is compiled for."""
    from epsanet_mmdet.ops.gpu.attention import scaled_attention
    from epsanet_mmdet.ops.gpu.blocked_conv import blocked_conv, weight_gradient
    from epsanet_mmdet.ops.gpu.pointwise import pointwise
    from epsanet_mmdet.ops.gpu.stem import norm_relu_max_pool

    tile, full = PointwiseTile(32, 16, 16), (True, True, dtype, True, True)
    yield blocked_conv, (dtype, dtype, 32, 16, BLOCKING, TILE, precision)
    yield blocked_conv, (dtype, torch.float32, 32, 16, BLOCKING, TILE, precision, 2, True)
    yield weight_gradient, (dtype, dtype, 32, 16, 256, BLOCKING, TILE, precision)
    yield weight_gradient, (dtype, dtype, 32, 16, 256, BLOCKING, ConvTile(16, 512), precision)
    if precision == TF32:
        yield weight_gradient, (dtype, dtype, 32, 16, 256, BLOCKING, TILE, SPLIT)
    yield pointwise, (dtype, dtype, dtype, 32, 16, False, tile, precision)
    yield pointwise, (dtype, dtype, dtype, 32, 16, True, tile, precision, *full)
    yield scaled_attention, (16, 3, 4)
    yield norm_relu_max_pool, (dtype, 16)


@pytest.mark.interpreted
@pytest.mark.parametrize('dtype, precision', TYPES, ids=str)
def test_right_kernels_pass(dtype, precision):
    state = torch.random.get_rng_state()
    for kernel, values in cases(dtype, precision):
        kernel.check_once(CPU, *values)
    assert torch.random.get_rng_state().equal(state)


def spoiled(kernel, spoil):
    """A kernel whose outputs, all of its NaN arguments, are changed after it ran."""

    @functools.wraps(kernel)
    def call(*args, **kwargs):
        tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, torch.Tensor)]
        outputs = [t for t in tensors if t.isnan().all()]
        kernel(*args, **kwargs)
        for out in outputs or tensors[2:3]:  # or that to which a convolution adds
            spoil(out)

    return call


SPOILS = {
    'one value': lambda out: out.view(-1)[0].add_(1e4) if out.is_contiguous() else out.add_(1e4),
    'noise': lambda out: out.mul_(1 + 0.1 * torch.rand_like(out, dtype=torch.float32)),
    'NaN': lambda out: out[..., -1].fill_(float('nan')),
    'infinity': lambda out: out[..., -1].fill_(float('inf')),
    'not written': lambda out: out.fill_(float('nan')),
    'zeros': lambda out: out.zero_(),
}


@pytest.mark.interpreted
@pytest.mark.parametrize('spoil', SPOILS)
def test_wrong_kernels_do_not(spoil):
    for kernel, values in cases(torch.float32, FLOAT32):
        check = verify.verified(lambda: (), CHECKS[kernel.__name__])(
            spoiled(kernel.__wrapped__, SPOILS[spoil])
        )
        with pytest.raises(VerificationError, match='differs from float64 by'):
            check.check_once(CPU, *values)


def _checks():
    from epsanet_mmdet.ops.gpu import checks

    return dict(
        blocked_conv=checks.check_conv,
        weight_gradient=checks.check_weight_gradient,
        pointwise=checks.check_pointwise,
        scaled_attention=checks.check_attention,
        norm_relu_max_pool=checks.check_pool,
    )


CHECKS = _checks()


@pytest.mark.interpreted
def test_sums_are_checked_too():
    from epsanet_mmdet.ops.gpu.blocked_conv import blocked_conv

    def wrong(*args, **kwargs):
        blocked_conv.__wrapped__(*args, **kwargs)
        args[-1].mul_(1.1)

    check = verify.verified(lambda: (), CHECKS['blocked_conv'])(wrong)
    for moments in (1, 2):
        values = torch.float32, torch.float32, 32, 16, BLOCKING, TILE, FLOAT32, moments
        with pytest.raises(VerificationError, match='sum of the 3x3 convolution'):
            check.check_once(CPU, *values)


@pytest.mark.interpreted
def test_cases_are_what_a_call_is_compiled_for():
    """The check of a call's case runs, for the options that blocks use."""
    from epsanet_mmdet.ops.gpu import checks
    from epsanet_mmdet.ops.gpu.pointwise import pointwise

    x, weight = torch.randn(2, 3, 5, 16), torch.randn(32, 16)
    out, vector = torch.empty(2, 3, 5, 32), torch.randn(32)
    tile = PointwiseTile(16, 32, 16)
    case = checks.pointwise_case(x, weight, out, tile, FLOAT32, add=out.clone(), relu=True)
    pointwise.check_once(CPU, *case)
    case = checks.pointwise_case(x, weight, out, tile, FLOAT32, scale=vector, shift=vector)
    assert case != checks.pointwise_case(x, weight, out.bfloat16(), tile, FLOAT32)
    pointwise.check_once(CPU, *case)


class OnGPU(torch.Tensor):
    """A tensor that says that it is on a GPU."""

    is_cuda = True


def on_gpu():
    return torch.ones(2).as_subclass(OnGPU)


def test_a_kernel_is_checked_once_for_each_case_and_before_it_runs():
    events = []

    @verify.verified(lambda x, size: (size,), lambda *a: events.append(('check', *a[2:])))
    def kernel(x, size):
        events.append(('run', size))

    for size in (1, 1, 2, 1, 2):
        kernel(on_gpu(), size)
    runs = [('run', 1), ('run', 1), ('check', 2), ('run', 2), ('run', 1), ('run', 2)]
    assert events == [('check', 1), *runs]


def test_a_failed_check_is_repeated_and_the_kernel_never_runs():
    def fail(*args):
        raise VerificationError('wrong')

    kernel = verify.verified(lambda x: (), fail)(lambda x: pytest.fail('it ran'))
    for _ in range(2):
        with pytest.raises(VerificationError, match='wrong'):
            kernel(on_gpu())


def test_on_a_cpu_nothing_is_checked():
    kernel = verify.verified(lambda x: pytest.fail('a case'), None)(lambda x: x.zero_())
    kernel(torch.ones(2))


def test_the_first_use_must_not_be_captured(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing', lambda: True)
    kernel = verify.verified(lambda: (), lambda *a: pytest.fail('checked'))(lambda x: None)
    with pytest.raises(VerificationError, match='call the network once before'):
        kernel.check_once(torch.device('cuda', 0))


def test_bounds():
    assert bound(torch.float32, FLOAT32) == bound(torch.float32, 'ieee') == 1e-5
    assert bound(torch.float32, TF32) == 2e-3
    assert bound(torch.float16, HALF) == 2e-3
    assert bound(torch.bfloat16, HALF, torch.float32) == 1e-2
    expected = torch.tensor([4.0, -2.0]).double()
    check_close('kernel', expected.float() + 0.039, expected, 1e-2)
    with pytest.raises(VerificationError, match='the kernel differs from float64 by 1.0e-02'):
        check_close('kernel', expected.float() + 0.041, expected, 1e-2)
    with pytest.raises(VerificationError, match='by nan'):
        check_close('kernel', expected * float('nan'), expected, 1e-2)
