"""A network whose training passes are graphs has the results of the network, whatever the order."""

import copy
import gc
import warnings
from weakref import ref

import pytest
import torch
from closeness import assert_close
from norm_statistics import randomise
from torch.utils.checkpoint import checkpoint

from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.gpu import epsanet as on_gpu
from epsanet_mmdet.ops.gpu import trained_network
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.plan import FLOAT32

FULL = Compute(torch.float32, FLOAT32, 8)


@pytest.fixture(autouse=True)
def graphs(monkeypatch):
    """Graphs that call what they captured; the number of passes that they replayed."""
    replays = []

    def capture(call, pool):
        return lambda: (replays.append(call.__name__), call())

    monkeypatch.setattr(trained_network, 'capture', capture)
    monkeypatch.setattr(trained_network, 'gpu_kernels', lambda device: True)
    monkeypatch.setattr(trained_network, '_has_memory', lambda device: True)
    monkeypatch.setattr(torch.cuda, 'graph_pool_handle', lambda: None)
    monkeypatch.setattr(on_gpu, '_is_plain', lambda tensors, compute: True)
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*without CUDA graphs')
        yield replays


def small(**options):
    torch.manual_seed(0)
    network = EPSANet(
        50, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), norm_eval=False,
        **options,
    )  # fmt: skip
    network = randomise(network)
    network.train()
    return network


def images(height=32, width=32, seed=0):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


def loss(outs):
    return sum((out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum() for out in outs)


class Pair:
    """A network whose passes are graphs, and the same network."""

    def __init__(self, **options):
        self.network = small(**options)
        self.plain = copy.deepcopy(self.network)
        self.graphed = trained_network.TrainedNetwork(self.network, FULL)

    def forward(self, x):
        """Return the outputs of both."""
        outs = self.graphed(x)
        if outs is None:
            outs = self.network(x)
        return outs, self.plain(x)

    def check(self):
        for ours, theirs in zip(self.network.parameters(), self.plain.parameters(), strict=True):
            assert (ours.grad is None) == (theirs.grad is None)
            if ours.grad is not None:
                assert_close(ours.grad, theirs.grad, 1e-5, floor=1)
        for ours, theirs in zip(self.network.buffers(), self.plain.buffers(), strict=True):
            assert_close(ours.double(), theirs.double(), 1e-6, floor=1)


def test_steps_of_alternating_sizes(graphs):
    pair = Pair()
    optimisers = [torch.optim.SGD(n.parameters(), 1e-4) for n in (pair.network, pair.plain)]
    for step in range(8):
        for outs in pair.forward(images(32, 32 + 32 * (step % 2), seed=step)):
            loss(outs).backward()
        pair.check()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
    assert graphs == ['forward', 'backward'] * 6  # but for the first step of each size


def test_gradients_of_several_steps_are_added():
    pair = Pair()
    for step in range(4):
        for outs in pair.forward(images(seed=step)):
            loss(outs).backward()
    pair.check()


def test_outputs_stay_as_they_are():
    pair = Pair()
    pair.forward(images())
    (outs, _) = pair.forward(images(seed=1))
    before = [out.detach().clone() for out in outs]
    loss(outs).backward()
    loss(pair.forward(images(seed=2))[0]).backward()
    for out, value in zip(outs, before):
        assert out.equal(value)


def test_several_forward_passes_before_a_backward_pass(graphs):
    pair = Pair()
    pair.forward(images())
    graphs.clear()
    passes = [pair.forward(images(seed=seed)) for seed in (1, 2)]
    for ours, theirs in reversed(passes):
        loss(ours).backward()
        loss(theirs).backward()
    pair.check()
    assert graphs == ['forward', 'backward']


def test_a_pass_without_a_backward_pass_does_not_occupy_the_graphs(graphs):
    pair = Pair()
    for seed in range(4):
        pair.forward(images(seed=seed))
    assert graphs == ['forward'] * 3


def test_a_second_backward_pass(graphs):
    pair = Pair()
    pair.forward(images())
    for outs in pair.forward(images(seed=1)):
        loss(outs).backward(retain_graph=True)
        loss(outs).backward()
    pair.check()
    assert graphs == ['forward', 'backward']


def test_gradients_of_gradients():
    pair = Pair()
    pair.forward(images())
    for outs, network in zip(pair.forward(images(seed=1)), (pair.network, pair.plain)):
        weights = list(network.parameters())
        grads = torch.autograd.grad(loss(outs), weights, create_graph=True)
        sum(grad.square().sum() for grad in grads).backward()
    pair.check()


def test_hooks_of_parameters_are_called_once_in_each_step():
    pair, calls = Pair(), []
    for network in (pair.network, pair.plain):
        network.conv1.weight.register_hook(lambda grad: calls.append(1) or 2 * grad)
    for seed in range(3):
        for outs in pair.forward(images(seed=seed)):
            loss(outs).backward()
    pair.check()
    assert len(calls) == 6


def test_one_output_suffices():
    pair = Pair()
    pair.forward(images())
    for outs in pair.forward(images(seed=1)):
        loss(outs[:1]).backward()
    for ours, theirs in zip(pair.network.parameters(), pair.plain.parameters()):
        if theirs.grad is not None:
            assert_close(ours.grad, theirs.grad, 1e-5, floor=1)


def test_frozen_stages(graphs):
    pair = Pair(frozen_stages=1)
    for seed in range(3):
        for outs in pair.forward(images(seed=seed)):
            assert [out.requires_grad for out in outs] == [False, True]
            loss(outs).backward()
    pair.check()
    assert graphs == ['forward', 'backward'] * 2


def test_parameters_that_change_before_the_backward_pass_are_noticed():
    pair = Pair()
    pair.forward(images())
    outs, _ = pair.forward(images(seed=1))
    with torch.no_grad():
        pair.network.conv1.weight.add_(1)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        loss(outs).backward()


def test_smaller_images_use_the_memory_of_larger_ones():
    pair = Pair()
    for size in (64, 64, 32, 32, 96, 96, 32):
        for outs in pair.forward(images(size, size)):
            loss(outs).backward()
    pair.check()
    assert {shape[2] for shape, _ in pair.graphed.graphs} == {96, 32}


def test_a_failed_capture_leaves_the_network_as_it_is(monkeypatch):
    def fail(call, pool):
        call()
        raise RuntimeError('cannot be captured\nas a second line says')

    monkeypatch.setattr(trained_network, 'capture', fail)
    pair = Pair()
    pair.network.eval(), pair.plain.eval()  # a real capture computes nothing
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for seed in range(4):
            for outs in pair.forward(images(seed=seed)):
                loss(outs).backward()
    pair.check()
    (warning,) = [str(w.message) for w in caught if 'without CUDA graphs' in str(w.message)]
    assert warning.endswith('RuntimeError: cannot be captured')


def test_at_most_so_many_sizes_have_graphs(monkeypatch):
    monkeypatch.setattr(trained_network, 'SIZES', 1)
    pair = Pair()
    for size in (64, 64, 32, 32):
        pair.forward(images(size, size))
    assert len(pair.graphed.graphs) == 1


def prepared(network):
    return on_gpu._prepare_training(network, FULL)


def test_a_network_that_nothing_refers_to_is_freed():
    network, x = small(), images()
    assert train(network, x) is not None
    on_gpu._prepared(on_gpu._EVALUATED, network, FULL, lambda: None)
    alive = ref(network)
    del network
    gc.collect()
    assert alive() is None


OBSERVERS = {
    'a hook of a block': lambda n: n.layer1[0].register_forward_hook(lambda *args: None),
    'a hook of a stage': lambda n: n.layer1.register_forward_hook(lambda *args: None),
    'a hook of a layer': lambda n: n.layer1[0].conv1.register_forward_hook(lambda *args: None),
    'a cumulative average': lambda n: setattr(n.bn1, 'momentum', None),
    'activation checkpoints': lambda n: setattr(n.layer1[0], 'with_cp', True),
    'double precision': lambda n: n.double(),
}


@pytest.mark.parametrize('change', OBSERVERS.values(), ids=OBSERVERS)
def test_what_graphs_would_ignore_prevents_them(change):
    network = small()
    assert prepared(network) is not None
    change(network)
    assert prepared(network) is None


@pytest.mark.parametrize('name', list(OBSERVERS)[:3])
def test_hooks_prevent_graphs_in_evaluation(name):
    network = small().eval() or small()
    assert on_gpu._supported_stages(network, FULL) is not None
    OBSERVERS[name](network)
    assert on_gpu._supported_stages(network, FULL) is None


def train(network, x):
    """Return what the dispatch trains a network with."""
    on_gpu._train_network(network, x, FULL)
    return on_gpu._train_network(network, x, FULL)


def test_checkpointed_networks_have_no_graphs():
    network, x = small(), images()
    assert train(network, x) is not None
    weight = torch.ones(1, requires_grad=True)

    def call(weight):
        assert train(network, x) is None
        return network(x)[0] * weight

    checkpoint(call, weight, use_reentrant=False).sum().backward()


def test_images_with_gradients_have_no_graphs():
    assert train(small(), images().requires_grad_()) is None


def test_networks_without_trained_parameters_have_no_graphs():
    assert train(small().requires_grad_(False), images()) is None


def test_changed_networks_are_captured_again():
    network, x = small(), images()
    assert train(network, x) is not None
    network.conv1.weight.requires_grad_(False)
    assert on_gpu._train_network(network, x, FULL) is None
    assert on_gpu._train_network(network, x, FULL) is not None
