"""Resuming so that a run ends as if it had never been interrupted."""

from collections import deque
from itertools import chain, repeat
from typing import Any, Dict, Iterator, Optional, Set

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, IterableDataset

from ...errors import CheckpointError
from ..seeding import EPOCH, STEP, IterationSeeds, seeded_loader


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Resumes a run with the very batches and random numbers that were to come.

    Every iteration's data and step are seeded from the run's seed, the rank and the iteration;
    without ``randomness.seed`` that is the random one that mmengine drew, which the checkpoint
    keeps. A checkpoint from the middle of an epoch is resumed with the rest of that epoch's
    batches; the ones before cost no image. mmengine alone would train on the whole epoch again.

    With another number of iterations an epoch than before (more processes, another batch size)
    the position in the epoch is kept, but not the batches. Transforms that keep images of
    earlier iterations, as mmdet's ``CachedMosaic`` does, begin without them; a warning names them.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._resumed: Dict[str, Any] = {}
        self._seeds: Optional[IterationSeeds] = None
        self._full_length: Optional[int] = None
        self._skip = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        self._resumed = dict(checkpoint['meta'])
        for name, least in (('epoch_length', 1), ('sampler_seed', 0)):
            value = self._resumed.get(name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise CheckpointError(f'its meta.{name} is {value!r}')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        sampler = getattr(runner.train_dataloader.batch_sampler, 'sampler', None)
        checkpoint['meta']['epoch_length'] = self._full_length
        checkpoint['meta']['sampler_seed'] = getattr(sampler, 'seed', None)

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        self._seeds = IterationSeeds(runner.seed, get_rank())
        caching = sorted(caching_transforms(loop.dataloader.dataset))
        if caching:
            runner.logger.warning(
                f'{", ".join(caching)} keep images of earlier iterations, which no checkpoint '
                'holds: a run that is resumed will not end with the same weights'
            )
        if not _has_batches(loop.dataloader):
            return
        endless = isinstance(loop, IterBasedTrainLoop)
        if not endless and not isinstance(loop, EpochBasedTrainLoop):
            return
        self._full_length = len(loop.dataloader)
        self._restore_sampler(loop.dataloader.batch_sampler)
        loop.dataloader = seeded_loader(loop.dataloader, self._seeds, endless)
        if endless:
            loop.dataloader.batch_sampler.skip = self._seeds.first = runner.iter
            # mmengine's loop asks once more for the batches that are done, OneDL's skips them.
            skips = hasattr(loop.dataloader_iterator, 'skip_iter')
            loop.dataloader_iterator = _Upcoming(loop.dataloader, 0 if skips else runner.iter)
        else:
            self._skip = self._done_in_epoch(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        self._seeds.start(EPOCH, runner.epoch)
        if self._full_length is None or not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        self._seeds.first = runner.iter
        runner.train_dataloader.batch_sampler.skip, self._skip = self._skip, 0

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        self._seeds.start(STEP, runner.iter)

    def _restore_sampler(self, batches: Any) -> None:
        """Restore the seed of the sampler: mmengine has built it before it resumes."""
        sampler = getattr(batches, 'sampler', None)
        seed = self._resumed.get('sampler_seed')
        if isinstance(sampler, InfiniteSampler):  # its indices may have been drawn from already
            sampler.__init__(
                sampler.dataset, sampler.shuffle, sampler.seed if seed is None else seed
            )
        elif seed is not None and hasattr(sampler, 'seed'):
            sampler.seed = seed

    def _done_in_epoch(self, runner: Runner) -> int:
        """Count the batches of the current epoch that the checkpoint has behind it."""
        length = self._resumed.get('epoch_length') or self._full_length
        done = runner.iter - runner.epoch * length
        if length != self._full_length and done:
            runner.logger.warning(
                f'an epoch has {self._full_length} iterations, and had {length} when the '
                'checkpoint was saved: its position in the epoch is kept, its batches are not'
            )
            done = done * self._full_length // length
        return min(max(done, 0), self._full_length)


def caching_transforms(step: Any) -> Set[str]:
    """Return the names of a data set's transforms that keep samples for later ones.

    They are told by an attribute that is named a cache and holds a collection.

    Args:
        step: A data set, a wrapper of some, a pipeline or a transform.
    """
    if isinstance(step, (list, tuple)):
        return set().union(*map(caching_transforms, step))
    attributes = getattr(step, '__dict__', {})
    found = set()
    for name, value in attributes.items():
        if 'cache' in name and isinstance(value, (list, dict, deque)):
            found.add(type(step).__name__)
        elif name in ('dataset', 'datasets', '_dataset', 'pipeline', 'transforms'):
            found |= caching_transforms(value)
    return found


class _Upcoming:
    """Batches, after some Nones, of a loader that skips those that are done."""

    def __init__(self, loader: DataLoader, nones: int) -> None:
        self._batches = chain(repeat(None, nones), loader)

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        return next(self._batches)

    def skip_iter(self, count: int) -> None:
        """Do nothing: they are skipped."""


def _has_batches(loader: DataLoader) -> bool:
    return loader.batch_sampler is not None and not isinstance(loader.dataset, IterableDataset)
