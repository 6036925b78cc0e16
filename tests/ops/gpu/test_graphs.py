"""The graphs of a network use a bounded share of a GPU's memory."""

from collections import OrderedDict

import pytest
import torch

pytest.importorskip('triton')


def test_the_sizes_that_were_not_used_for_longest_are_forgotten():
    from epsanet_mmdet.ops.gpu.network import EvaluatedNetwork, _Graph

    network = EvaluatedNetwork.__new__(EvaluatedNetwork)
    graphs = {size: _Graph(None, torch.zeros(size), [torch.zeros(size)]) for size in (3, 4, 5)}
    assert [graph.bytes for graph in graphs.values()] == [24, 32, 40]
    network.graphs, network.seen = OrderedDict(graphs), {3, 4, 5}
    network._forget(80)
    assert list(network.graphs) == [4, 5] == sorted(network.seen)
    network._forget(1)
    assert list(network.graphs) == [5]
