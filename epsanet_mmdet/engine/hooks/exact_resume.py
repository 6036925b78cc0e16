"""Resuming a run so that it ends as if it had not been interrupted."""

from collections import deque
from itertools import chain, repeat
from typing import Any, Dict, Iterator, Optional, Set

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ...errors import CheckpointError
from ..gradients import pending_gradients, restore_gradients
from ..seeding import EPOCH, STEP, IterationSeeds, seeded_loader


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Resume a run with the batches and random numbers that would have come next.

    The data and the step of each iteration are seeded with the run's seed, the rank and the
    iteration. Without ``randomness.seed`` the seed is the one that mmengine drew, which is stored
    in the checkpoint. A run that stopped within an epoch resumes with the remaining batches of
    that epoch, without loading the images of the others; mmengine would repeat the whole epoch.
    Gradients that are being accumulated are stored, those of the first process for all.

    If the number of iterations per epoch has changed (more processes, another batch size), the
    position in the epoch is kept, but not the batches. Transforms that cache images of earlier
    iterations, such as mmdet's ``CachedMosaic``, start with an empty cache; a warning names them.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._resumed: Dict[str, Any] = {}
        self._seeds: Optional[IterationSeeds] = None
        self._full_length: Optional[int] = None
        self._skip = 0
        self._gradients: Dict[str, Tensor] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        self._resumed = dict(checkpoint['meta'])
        for name, least in (('epoch_length', 1), ('sampler_seed', 0)):
            value = self._resumed.get(name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise CheckpointError(f'its meta.{name} is {value!r}')
        self._gradients = checkpoint.pop('gradients', {})
        if not isinstance(self._gradients, dict):
            raise CheckpointError(f'its gradients are of type {type(self._gradients).__name__}')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        sampler = getattr(runner.train_dataloader.batch_sampler, 'sampler', None)
        checkpoint['meta']['epoch_length'] = self._full_length
        checkpoint['meta']['sampler_seed'] = getattr(sampler, 'seed', None)
        gradients = pending_gradients(runner)
        if gradients:
            checkpoint['gradients'] = gradients

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        self._seeds = IterationSeeds(runner.seed, get_rank())
        restore_gradients(runner, self._gradients)
        self._gradients = {}
        caching = sorted(caching_transforms(loop.dataloader.dataset))
        if caching:
            runner.logger.warning(
                f'{", ".join(caching)} cache images of earlier iterations, which no checkpoint '
                'holds: a resumed run will not end with the same weights'
            )
        loader = loop.dataloader
        if loader.batch_sampler is None or isinstance(loader.dataset, IterableDataset):
            return
        endless = isinstance(loop, IterBasedTrainLoop)
        if not endless and not isinstance(loop, EpochBasedTrainLoop):
            return
        self._full_length = len(loop.dataloader)
        self._restore_sampler(loop.dataloader.batch_sampler)
        loop.dataloader = seeded_loader(loop.dataloader, self._seeds, endless)
        if endless:
            loop.dataloader.batch_sampler.skip = self._seeds.first = runner.iter
            # mmengine's loop requests the finished batches again, OneDL's skips them.
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
        """Restore the seed of the sampler, which mmengine builds before it resumes."""
        sampler = getattr(batches, 'sampler', None)
        seed = self._resumed.get('sampler_seed')
        if isinstance(sampler, InfiniteSampler):  # some of its indices may be drawn already
            sampler.__init__(
                sampler.dataset, sampler.shuffle, sampler.seed if seed is None else seed
            )
        elif seed is not None and hasattr(sampler, 'seed'):
            sampler.seed = seed

    def _done_in_epoch(self, runner: Runner) -> int:
        """Return the number of batches of the current epoch that the checkpoint includes."""
        length = self._resumed.get('epoch_length') or self._full_length
        done = runner.iter - runner.epoch * length
        if length != self._full_length and done:
            runner.logger.warning(
                f'an epoch has {self._full_length} iterations, and had {length} when the '
                'checkpoint was saved: the position in the epoch is kept, the batches are not'
            )
            done = done * self._full_length // length
        return min(max(done, 0), self._full_length)


def caching_transforms(step: Any) -> Set[str]:
    """Return the names of the transforms that cache samples.

    They are recognized by an attribute with "cache" in its name that holds a collection.

    Args:
        step: A data set, a wrapper of data sets, a pipeline or a transform.
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
    """The remaining batches of a loader, after a None for each finished one."""

    def __init__(self, loader: DataLoader, nones: int) -> None:
        self._batches = chain(repeat(None, nones), loader)

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        return next(self._batches)

    def skip_iter(self, count: int) -> None:
        """Do nothing: the loader has skipped them."""
