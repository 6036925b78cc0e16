"""Operators run directly, and through torch's dispatcher where autograd or a compiler needs it."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from epsanet_mmdet.ops.cpu.operators import operator

NUMBERS = itertools.count()


class Dispatched(TorchDispatchMode):
    """Record the operators that the dispatcher sees."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.fixture
def scaled():
    """An operator of a name that is not registered yet."""

    def function(x: Tensor, factor: int = 2, relu: bool = False) -> Tensor:
        """Scale a map."""
        return (factor * x).relu() if relu else factor * x

    function.__name__ = f'scaled_{next(NUMBERS)}'
    return operator(lambda x, *_: torch.empty_like(x))(function)


@pytest.mark.parametrize('gradients', [False, True])
def test_it_computes_the_function(scaled, gradients):
    x = torch.tensor([1.0, -2.0])
    with torch.set_grad_enabled(gradients):
        assert scaled(x).tolist() == [2, -4]
        assert scaled(x, 3, relu=True).tolist() == [3, 0]
    assert scaled.__doc__ == 'Scale a map.'


def test_the_dispatcher_sees_it_only_where_gradients_are_recorded(scaled):
    x = torch.ones(2)
    with Dispatched() as recorded:
        scaled(x)
    assert recorded.seen == [f'epsanet_mmdet::{scaled.__name__}']
    with torch.no_grad(), Dispatched() as direct:
        scaled(x)
    assert direct.seen == ['aten::mul.Tensor']


@torch.no_grad()
def test_a_compiled_program_calls_the_operator(scaled):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph.code)
        return graph

    compiled = torch.compile(lambda x: scaled(x, 5), backend=backend, fullgraph=True)
    assert compiled(torch.ones(2)).tolist() == [5, 5]
    assert f'epsanet_mmdet.{scaled.__name__}' in graphs[0]
