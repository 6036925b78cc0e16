"""Permutation of a block's channels that lets grouped branches see the inputs they need most.

The outputs of conv1 and the inputs of conv3 can be permuted at no cost. A branch with groups sees
only some of the input channels. The permutation chosen here keeps most of the energy of the
teacher's 3x3 filters. Inputs are divided into ``leaves``, the groups of the finest branch; a
coarser group consists of adjacent leaves. For fixed inputs, choosing the outputs is a linear
assignment problem, and vice versa; the two are solved in turn. The initial inputs come from
recursive spectral bisection.
"""

import math
from itertools import accumulate
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import nn

from ..layers import PSAModule

STARTS = 3
ROUNDS = 20


class Branch(NamedTuple):
    """A branch of PSA: its convolution, and its first and last + 1 output channel."""

    conv: nn.Conv2d
    start: int
    stop: int

    @property
    def groups(self) -> int:
        return self.conv.groups


class Permutation(NamedTuple):
    """The teacher's channel that each channel of a block corresponds to.

    Args:
        inputs: (W,) teacher's channel of each output of conv1, which is an input of PSA.
        outputs: (W,) teacher's channel of each output of PSA.
    """

    inputs: np.ndarray
    outputs: np.ndarray


def branches_of(psa: PSAModule) -> List[Branch]:
    """List the branches of a PSA module, ``conv_1`` first; it has the last output channels."""
    stops = accumulate(conv.out_channels for conv in psa.convs)
    branches = [Branch(c, stop - c.out_channels, stop) for c, stop in zip(psa.convs, stops)]
    return branches[::-1]


def identity_permutation(channels: int, width: int) -> Permutation:
    """Return the teacher's own order, repeated where the width is double."""
    order = np.arange(width) % channels
    return Permutation(order, order.copy())


def best_permutation(energy: np.ndarray, branches: Sequence[Branch]) -> Permutation:
    """Choose the permutation that keeps the most energy.

    Every teacher's channel is among the inputs and the outputs at least once. In a double width,
    every output appears twice, in two groups that see different inputs where possible, and half of
    the inputs are those that each group needs most.

    Args:
        energy: (outputs, inputs) of the teacher's 3x3 convolution, at least 0.
        branches: Of the PSA module, which has once or twice the teacher's channels.
    """
    search = _Search(energy, branches)
    best, best_kept = None, -1.0
    grouped = np.ones(len(energy), bool)
    for _ in range(STARTS):
        permutation, kept = search.improve(search.bisected_inputs(grouped))
        if kept <= best_kept * (1 + 1e-9):
            break
        best, best_kept = permutation, kept
        grouped = ~search.dense_outputs(permutation)  # the others need no adjacent inputs
        if not grouped.any():
            break
    return best


class _Search:
    def __init__(self, energy: np.ndarray, branches: Sequence[Branch]) -> None:
        self.energy = np.asarray(energy, float)
        self.channels = self.energy.shape[1]
        self.width = max(branch.stop for branch in branches)
        self.copies = self.width // self.channels
        self.leaves = math.lcm(*(branch.groups for branch in branches))
        self.per_leaf = self.width // self.leaves
        # covers: which leaves (columns) each group (rows) sees; slots: each output's group
        covers, self.slots = [], np.empty(self.width, int)
        for start, stop, groups in [(b.start, b.stop, b.groups) for b in branches]:
            group = np.arange(stop - start) * groups // (stop - start)
            self.slots[start:stop] = sum(map(len, covers)) + group
            covers.append(np.kron(np.eye(groups), np.ones(self.leaves // groups)))
        self.covers = np.concatenate(covers)
        self.dense = self.covers.all(1)

    def seen(self, inputs: np.ndarray) -> np.ndarray:
        """Return 1 where a group (columns) sees a teacher's channel (rows), else 0."""
        leaf = np.zeros((self.channels, self.leaves))
        leaf[inputs, np.arange(self.width) // self.per_leaf] = 1
        return np.minimum(leaf @ self.covers.T, 1)

    def kept(self, permutation: Permutation) -> float:
        """Return the energy that the outputs keep; copies of an output count together."""
        visible = np.zeros_like(self.energy)
        seen = self.seen(permutation.inputs)[:, self.slots]
        np.maximum.at(visible, permutation.outputs, seen.T)
        return (visible * self.energy).sum()

    def dense_outputs(self, permutation: Permutation) -> np.ndarray:
        """Return True for the teacher's outputs (outputs,) that the dense branch computes."""
        found = np.zeros(len(self.energy), bool)
        found[permutation.outputs[self.dense[self.slots]]] = True
        return found

    def improve(self, inputs: np.ndarray) -> Tuple[Permutation, float]:
        """Choose outputs and inputs in turn until the energy kept no longer grows."""
        best, best_kept = None, -1.0
        for _ in range(ROUNDS):
            permutation = Permutation(inputs, self.choose_outputs(inputs))
            kept = self.kept(permutation)
            if kept <= best_kept * (1 + 1e-6):
                break
            best, best_kept = permutation, kept
            inputs = self.choose_inputs(permutation.outputs)
        return best, best_kept

    def choose_outputs(self, inputs: np.ndarray) -> np.ndarray:
        seen = self.seen(inputs)
        left, free = self.energy.copy(), np.arange(self.width)
        outputs = np.empty(self.width, int)
        for _ in range(self.copies):  # a second copy counts only what the first does not see
            values = left @ seen
            rows, columns = linear_sum_assignment(values[:, self.slots[free]], maximize=True)
            taken = free[columns]
            outputs[taken] = rows
            left[rows] *= 1 - seen[:, self.slots[taken]].T
            free = np.setdiff1d(free, taken)
        return outputs

    def choose_inputs(self, outputs: np.ndarray) -> np.ndarray:
        gain = self.input_gain(outputs)
        first = self.per_leaf // self.copies
        rows, columns = linear_sum_assignment(np.repeat(gain, first, 1), maximize=True)
        leaves = []
        for leaf in range(self.leaves):  # the remaining places go to what each leaf needs most
            members = rows[columns // first == leaf]
            others = np.setdiff1d(np.arange(self.channels), members)
            most = others[np.argsort(-gain[others, leaf], kind='stable')]
            leaves.append(np.sort([*members, *most[: self.per_leaf - len(members)]]))
        return np.concatenate(leaves)

    def input_gain(self, outputs: np.ndarray) -> np.ndarray:
        """Return the energy (inputs, leaves) that each input adds in each leaf."""
        by_group = np.zeros((len(self.covers), self.channels))
        np.add.at(by_group, self.slots, self.energy[outputs])
        by_group[self.dense] = 0  # these see every leaf
        return by_group.T @ self.covers

    def bisected_inputs(self, rows: np.ndarray) -> np.ndarray:
        """Divide the inputs into parts that contribute to the same outputs, down to the leaves."""
        share = self.energy[rows]
        share = share / np.maximum(share.sum(1, keepdims=True), 1e-300)
        parts = [np.arange(self.channels)]
        while len(parts) < self.leaves:
            factor = 2 if self.leaves // len(parts) % 2 == 0 else self.leaves // len(parts)
            parts = [piece for part in parts for piece in _cut(part, share[:, part], factor)]
        return np.concatenate([self.filled(part) for part in parts])

    def filled(self, part: np.ndarray) -> np.ndarray:
        """Add the strongest other inputs to a part, up to the size of a leaf."""
        others = np.setdiff1d(np.arange(self.channels), part)
        most = others[np.argsort(-self.energy.sum(0)[others], kind='stable')]
        return np.concatenate([part, most[: self.per_leaf - len(part)]])


def _cut(part: np.ndarray, share: np.ndarray, pieces: int) -> List[np.ndarray]:
    """Cut channels into equal pieces along the Fiedler vector of their shared outputs."""
    root = np.sqrt(share)
    similarity = root.T @ root
    degree = np.sqrt(np.maximum(similarity.sum(1), 1e-300))
    _, vectors = np.linalg.eigh(similarity / degree[:, None] / degree[None])
    fiedler = vectors[:, -2] / degree if len(part) > 1 else np.zeros(1)
    fiedler = fiedler * np.sign(fiedler[np.argmax(np.abs(fiedler))] or 1)
    order = part[np.argsort(fiedler, kind='stable')]
    return [np.sort(piece) for piece in np.split(order, pieces)]
