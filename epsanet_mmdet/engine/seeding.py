"""Batches that depend on the seed and the iteration only, and that can start at any iteration.

mmengine restores no random state when it resumes, and the random numbers of its data workers
depend on how long a worker has lived. Here every batch, in whichever process it is made, and every
training step has its own seed, so that a resumed run ends with the same weights, bit for bit.
"""

import random
from functools import partial
from itertools import islice
from typing import Any, Callable, Iterator, List, Optional

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, get_worker_info

DATA, STEP, EPOCH = 0, 1, 2  # streams of random numbers


class IterationSeeds:
    """Seeds of Python, NumPy and torch for every iteration.

    Args:
        seed: The run's seed.
        rank: Rank of the process; each rank has its own random numbers.
    """

    def __init__(self, seed: int, rank: int = 0) -> None:
        self.seed = seed
        self.rank = rank
        self.first = 0  # iteration of the loader's next first batch

    def start(self, stream: int, iteration: int) -> None:
        """Seed this process for a stream of an iteration or, in :data:`EPOCH`, of an epoch."""
        entropy = (abs(self.seed), self.rank, stream, iteration)
        low, high = (int(x) for x in np.random.SeedSequence(entropy).generate_state(2, np.uint64))
        random.seed(high)
        np.random.seed(low & 0xFFFFFFFF)
        torch.manual_seed(low)


class RemainingBatches(BatchSampler):
    """The remaining batches of a batch sampler; skipped ones cost only their indices.

    Args:
        batches: The batch sampler.
        seeds: Seeds, used here if the batches are loaded in the same process.
        in_process: Whether they are.
        endless: Whether to repeat ``batches`` forever, for iteration-based training.
    """

    def __init__(
        self, batches: Any, seeds: IterationSeeds, in_process: bool, endless: bool = False
    ) -> None:
        self.batches = batches
        self.sampler = getattr(batches, 'sampler', None)
        self.batch_size = getattr(batches, 'batch_size', None)
        self.drop_last = getattr(batches, 'drop_last', False)
        self.seeds = seeds
        self.in_process = in_process
        self.endless = endless
        self.skip = 0

    def __len__(self) -> int:
        return len(self.batches) - (0 if self.endless else self.skip)

    def __iter__(self) -> Iterator[List[int]]:
        for number, batch in enumerate(islice(self._all(), self.skip, None), self.seeds.first):
            if self.in_process:
                self.seeds.start(DATA, number)
            yield batch

    def _all(self) -> Iterator[List[int]]:
        yield from self.batches
        epoch = 0
        while self.endless:
            epoch += 1
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            yield from self.batches


class SeedingCollate:
    """Collate a batch, then seed the worker for its next one.

    torch assigns batches to its workers in turn, so a worker knows the number of its next batch.

    Args:
        collate_fn: The loader's own function.
        seeds: Seeds.
    """

    def __init__(self, collate_fn: Callable, seeds: IterationSeeds) -> None:
        self.collate_fn = collate_fn
        self.seeds = seeds
        self.done = 0

    def __call__(self, samples: List[Any]) -> Any:
        batch = self.collate_fn(samples)
        worker = get_worker_info()
        if worker is not None:
            self.done += 1
            number = self.seeds.first + worker.id + self.done * worker.num_workers
            self.seeds.start(DATA, number)
        return batch


def _init_worker(init: Optional[Callable], seeds: IterationSeeds, worker: int) -> None:
    if init is not None:
        init(worker)
    seeds.start(DATA, seeds.first + worker)


def seeded_loader(loader: DataLoader, seeds: IterationSeeds, endless: bool = False) -> DataLoader:
    """Return a loader of the same batches, each with its own seed.

    Its workers live for one epoch, since persistent ones could not start at another batch.

    Args:
        loader: Loader of a map-style data set, with a batch sampler.
        seeds: Seeds; ``seeds.first`` and ``batch_sampler.skip`` are read when an epoch begins.
        endless: See :class:`RemainingBatches`.
    """
    in_process = loader.num_workers == 0
    workers = {} if in_process else dict(prefetch_factor=loader.prefetch_factor)
    return DataLoader(
        loader.dataset,
        batch_sampler=RemainingBatches(loader.batch_sampler, seeds, in_process, endless),
        num_workers=loader.num_workers,
        collate_fn=SeedingCollate(loader.collate_fn, seeds),
        worker_init_fn=partial(_init_worker, loader.worker_init_fn, seeds),
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        multiprocessing_context=loader.multiprocessing_context,
        **workers,
    )
