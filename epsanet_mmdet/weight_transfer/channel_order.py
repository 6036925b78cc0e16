"""Choosing which channel goes where, so that grouped branches see what they need most.

conv1's outputs and conv3's inputs can be put in any order for free. A branch with groups sees
a part of the input channels from each of its outputs; the choice below keeps the most of the
donor's energy. Inputs lie in ``leaves``, the parts of the finest groups; coarser groups are
several leaves side by side. With inputs given, the best outputs are a linear assignment, and
with outputs given the best inputs are one too: the two are solved in turn, from a start that
cuts the channels in halves again and again.
"""

import math
from typing import List, NamedTuple, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

STARTS = 3
ROUNDS = 20


class Branch(NamedTuple):
    """Kernel size, groups, and first and last + 1 output channel of a PSA branch."""

    kernel_size: int
    groups: int
    start: int
    stop: int

    @property
    def outputs_per_group(self) -> int:
        return (self.stop - self.start) // self.groups


class ChannelOrder(NamedTuple):
    """Which of the donor's channels each channel of a block is.

    Args:
        inputs: (W,) donor channel of each output of conv1, that is, input of PSA.
        outputs: (W,) donor channel that each output of PSA stands for.
    """

    inputs: np.ndarray
    outputs: np.ndarray


def psa_branches(width: int, kernel_sizes: Sequence[int], groups: Sequence[int]) -> List[Branch]:
    """List the branches of a PSA module; the last one gives the first output channels."""
    share = width // len(groups)
    return [
        Branch(k, g, width - (i + 1) * share, width - i * share)
        for i, (k, g) in enumerate(zip(kernel_sizes, groups))
    ]


def plain_order(channels: int, width: int) -> ChannelOrder:
    """Keep the donor's order, all channels once, and once more where the width is double."""
    order = np.arange(width) % channels
    return ChannelOrder(order, order.copy())


def best_order(energy: np.ndarray, branches: Sequence[Branch], width: int) -> ChannelOrder:
    """Choose the order that keeps the most energy.

    Every donor channel is among the inputs and the outputs at least once. In a double width every
    output is there twice, in two groups that see different inputs where possible, and half
    of the inputs are what each group needs most.

    Args:
        energy: (outputs, inputs) of the donor's 3x3, at least 0.
        branches: Of the PSA module.
        width: Channels of the PSA module, once or twice the donor's.
    """
    search = _Search(energy, branches, width)
    best, best_kept = None, -1.0
    grouped = np.ones(len(energy), bool)
    for _ in range(STARTS):
        order, kept = search.improve(search.halved_inputs(grouped))
        if kept <= best_kept * (1 + 1e-9):
            break
        best, best_kept = order, kept
        grouped = ~search.dense_outputs(order)  # the others need no inputs side by side
        if not grouped.any():
            break
    return best


def kept_energy(energy: np.ndarray, branches: Sequence[Branch], order: ChannelOrder) -> np.ndarray:
    """Give the energy (outputs,) that the donor's outputs keep, copies seen together."""
    search = _Search(energy, branches, len(order.inputs))
    return search.kept(order)


class _Search:
    def __init__(self, energy: np.ndarray, branches: Sequence[Branch], width: int) -> None:
        self.energy = np.asarray(energy, float)
        self.channels = self.energy.shape[1]
        self.width = width
        self.copies = width // self.channels
        self.leaves = math.lcm(*(branch.groups for branch in branches))
        self.per_leaf = width // self.leaves
        covers, slots, dense = [], np.empty(width, int), []
        for branch in branches:
            for group in range(branch.groups):
                cover = np.zeros(self.leaves)
                side = self.leaves // branch.groups
                cover[group * side : (group + 1) * side] = 1
                start = branch.start + group * branch.outputs_per_group
                slots[start : start + branch.outputs_per_group] = len(covers)
                covers.append(cover)
                dense.append(branch.groups == 1)
        self.covers, self.slots, self.dense = np.array(covers), slots, np.array(dense)

    def seen(self, inputs: np.ndarray) -> np.ndarray:
        """Whether each donor channel (rows) is seen in each kind of slot (columns)."""
        leaf = np.zeros((self.channels, self.leaves))
        leaf[inputs, np.arange(self.width) // self.per_leaf] = 1
        return np.minimum(leaf @ self.covers.T, 1)

    def kept(self, order: ChannelOrder) -> np.ndarray:
        seen = self.seen(order.inputs)
        visible = np.zeros_like(self.energy)
        np.maximum.at(visible, order.outputs, seen[:, self.slots].T)
        return (visible * self.energy).sum(1)

    def dense_outputs(self, order: ChannelOrder) -> np.ndarray:
        found = np.zeros(len(self.energy), bool)
        found[order.outputs[self.dense[self.slots]]] = True
        return found

    def improve(self, inputs: np.ndarray) -> tuple:
        """Choose outputs and inputs in turn until the energy kept grows no more."""
        best, best_kept = None, -1.0
        for _ in range(ROUNDS):
            outputs = self.choose_outputs(inputs)
            kept = self.kept(ChannelOrder(inputs, outputs)).sum()
            if kept <= best_kept * (1 + 1e-6):
                break
            best, best_kept = ChannelOrder(inputs, outputs), kept
            inputs = self.choose_inputs(outputs)
        return best, best_kept

    def choose_outputs(self, inputs: np.ndarray) -> np.ndarray:
        seen = self.seen(inputs)
        left, free = self.energy.copy(), np.arange(self.width)
        outputs = np.empty(self.width, int)
        for _ in range(self.copies):  # a further copy counts for what it sees in addition
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
        leaves: List[List[int]] = [[] for _ in range(self.leaves)]
        for row, column in zip(rows, columns):
            leaves[column // first].append(row)
        for leaf, members in enumerate(leaves):  # the rest is what each needs most
            wanted = np.argsort(-gain[:, leaf], kind='stable')
            there = set(members)
            members += [c for c in wanted if c not in there][: self.per_leaf - len(members)]
        return np.concatenate([np.sort(members) for members in leaves]).astype(int)

    def input_gain(self, outputs: np.ndarray) -> np.ndarray:
        """Energy (inputs, leaves) that each input brings where it lies."""
        by_kind = np.zeros((len(self.covers), self.channels))
        np.add.at(by_kind, self.slots, self.energy[outputs])
        by_kind[self.dense] = 0  # these see every leaf
        return by_kind.T @ self.covers

    def halved_inputs(self, rows: np.ndarray) -> np.ndarray:
        """Cut the inputs in halves that share outputs, down to the leaves."""
        share = self.energy[rows]
        share = share / np.maximum(share.sum(1, keepdims=True), 1e-300)
        parts = [np.arange(self.channels)]
        while len(parts) < self.leaves:
            factor = 2 if self.leaves // len(parts) % 2 == 0 else self.leaves // len(parts)
            parts = [piece for part in parts for piece in _cut(part, share[:, part], factor)]
        return self.fill(parts)

    def fill(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Lay out the parts; in a double width every part stands in two leaves' halves."""
        if self.copies == 1:
            return np.concatenate(parts)
        total = self.energy.sum(0)
        members = []
        for part in parts:
            others = np.setdiff1d(np.arange(self.channels), part)
            most = others[np.argsort(-total[others], kind='stable')]
            members.append(np.concatenate([part, most[: self.per_leaf - len(part)]]))
        return np.concatenate(members)


def _cut(part: np.ndarray, share: np.ndarray, pieces: int) -> List[np.ndarray]:
    """Cut channels in equal pieces along the slowest vector of their common outputs."""
    root = np.sqrt(share)
    alike = root.T @ root
    degree = np.sqrt(np.maximum(alike.sum(1), 1e-300))
    _, vectors = np.linalg.eigh(alike / degree[:, None] / degree[None])
    slow = vectors[:, -2] / degree if len(part) > 1 else np.zeros(1)
    slow = slow * np.sign(slow[np.argmax(np.abs(slow))] or 1)
    order = part[np.argsort(slow, kind='stable')]
    return [np.sort(piece) for piece in np.split(order, pieces)]
