"""Batches that depend on the seed and the iteration alone, and that can begin anywhere.

mmengine restores no random state on resuming, and the random numbers of its data workers
depend on how long a worker has lived. Here every batch, in whichever process it is made, and
every training step starts from a seed of its own, so that a resumed run ends the same to the bit.
"""

import multiprocessing
import os
import random
import signal
import threading
from itertools import islice
from typing import Any, Callable, Iterator, List, Optional

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, get_worker_info

DATA, STEP, EPOCH = 0, 1, 2  # streams of random numbers: an iteration's two, and an epoch's


class IterationSeeds:
    """Seeds of Python, NumPy and torch for every iteration.

    Args:
        seed: The run's seed.
        rank: The process's; each has its own random numbers.
    """

    def __init__(self, seed: int, rank: int = 0) -> None:
        self.seed = seed
        self.rank = rank
        self.first = 0  # iteration of the first batch that the loader will give

    def start(self, stream: int, iteration: int) -> None:
        """Seed this process for a stream of an iteration or, in :data:`EPOCH`, of an epoch."""
        entropy = (abs(self.seed), self.rank, stream, iteration)
        low, high = (int(x) for x in np.random.SeedSequence(entropy).generate_state(2, np.uint64))
        random.seed(high)
        np.random.seed(low & 0xFFFFFFFF)
        torch.manual_seed(low)


class RemainingBatches(BatchSampler):
    """The batches of a batch sampler that are left, at the cost of indices alone.

    Args:
        batches: The batch sampler.
        seeds: Seeds, used here where the batches are loaded in the same process.
        in_process: Whether they are.
        endless: Whether to begin again when ``batches`` end, as iteration-based training does.
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


class WorkerSeeds:
    """Prepares a data worker: seeds for its first batch, and patience with signals.

    Args:
        seeds: Seeds.
        worker_init_fn: What the loader did before.
    """

    def __init__(self, seeds: IterationSeeds, worker_init_fn: Optional[Callable]) -> None:
        self.seeds = seeds
        self.worker_init_fn = worker_init_fn

    def __call__(self, worker: int) -> None:
        if self.worker_init_fn is not None:
            self.worker_init_fn(worker)
        outlive_signals()
        self.seeds.start(DATA, self.seeds.first + worker)


class SeedingCollate:
    """Collates a batch, then seeds the worker for its next one.

    torch hands batches to its workers in turn, so a worker knows which one comes next.

    Args:
        collate_fn: The loader's.
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


def seeded_loader(loader: DataLoader, seeds: IterationSeeds, endless: bool = False) -> DataLoader:
    """Return a loader of the same batches, each made from a seed of its own.

    Its workers live for one epoch: persistent ones could not be told where to begin.

    Args:
        loader: Of a map-style data set, with a batch sampler.
        seeds: Seeds; ``seeds.first`` and ``batch_sampler.skip`` are read when an epoch begins.
        endless: As of :class:`RemainingBatches`.
    """
    in_process = loader.num_workers == 0
    workers = {} if in_process else dict(prefetch_factor=loader.prefetch_factor)
    return DataLoader(
        loader.dataset,
        batch_sampler=RemainingBatches(loader.batch_sampler, seeds, in_process, endless),
        num_workers=loader.num_workers,
        collate_fn=SeedingCollate(loader.collate_fn, seeds),
        worker_init_fn=WorkerSeeds(seeds, loader.worker_init_fn),
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        multiprocessing_context=loader.multiprocessing_context,
        **workers,
    )


def outlive_signals() -> None:
    """Have a data worker obey SIGTERM from its own process alone, and ignore SIGUSR1 and Ctrl-C.

    Schedulers and terminals send them to every process of a job, and a worker that dies would
    end the run before it could save.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    parent = multiprocessing.parent_process().pid
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)
