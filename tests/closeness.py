"""Comparison of tensors relative to the greatest expected value."""

import torch


def assert_close(actual, expected, tolerance=1e-5, floor=1e-6):
    """Compare two tensors, or sequences of tensors, relative to the greatest expected value.

    Args:
        actual: What was computed; of any type if double precision is expected.
        expected: What it should be.
        tolerance: Greatest relative difference.
        floor: Differences are relative to at least this value.
    """
    if not isinstance(expected, torch.Tensor):
        for a, e in zip(actual, expected, strict=True):
            assert_close(a, e, tolerance, floor)
        return
    actual = actual.double() if expected.dtype == torch.double else actual
    scale = expected.abs().max().clamp(min=floor)
    torch.testing.assert_close(actual / scale, expected / scale, rtol=0, atol=tolerance)
