"""What a data set left out, counted and named when a run ends."""

import logging
from dataclasses import dataclass, field
from typing import Dict, Iterator, List

import torch
from mmengine.dist import all_gather_object
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..errors import DataError
from ..utils.text import printable
from .annotation_faults import EMPTY


@dataclass
class Skipped:
    """What was left out of one annotation file.

    Args:
        source: The file.
        images: Why, by path.
        annotations: Why, by a text that names the annotation and its image.
    """

    source: str
    images: Dict[str, str] = field(default_factory=dict)
    annotations: Dict[str, str] = field(default_factory=dict)

    @property
    def harmful(self) -> Dict[str, str]:
        """The annotations that mmdet would not have left out anyway."""
        return {k: why for k, why in self.annotations.items() if not why.startswith(EMPTY)}

    def summary(self) -> str:
        return (
            f'{len(self.images)} images and {len(self.annotations)} annotations of {self.source} '
            'were left out'
        )

    def lines(self) -> List[str]:
        """A line for all, and one for each."""
        found = {**self.images, **self.annotations}
        return [self.summary(), *(f'  {printable(k, 500)}: {why}' for k, why in found.items())]


class Marks:
    """Images found bad while the run goes on, by worker processes too.

    Args:
        count: How many images there are.
    """

    def __init__(self, count: int) -> None:
        self.flags = torch.zeros(count, dtype=torch.uint8).share_memory_()

    def add(self, index: int) -> None:
        self.flags[index] = 1

    def indices(self) -> List[int]:
        return self.flags.nonzero().flatten().tolist()


@HOOKS.register_module()
class SkippedDataHook(Hook):
    """Names at the end of a run what its data sets left out, on all ranks together.

    A data set that has no annotations is not evaluated on: that would take hours for an AP of -1.

    Data sets that report it have ``skipped``, and ``went_bad()`` for what was found on the way:
    see :class:`epsanet_mmdet.datasets.CheckedCocoDataset`.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.datasets: Dict[int, object] = {}

    def before_train(self, runner: Runner) -> None:
        self._add(runner.train_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        self._add(runner.val_dataloader.dataset)
        self._require_annotations(runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        self._add(runner.test_dataloader.dataset)
        self._require_annotations(runner.test_evaluator)

    def after_run(self, runner: Runner) -> None:
        for dataset in self.datasets.values():
            skipped = dataset.skipped
            for found in all_gather_object(dataset.went_bad()):
                skipped.images.update(found)
            level = logging.WARNING if skipped.images or skipped.annotations else logging.INFO
            print_log('\n'.join(skipped.lines()), logger=runner.logger, level=level)

    def _require_annotations(self, evaluator: Evaluator) -> None:
        if all(getattr(metric, 'format_only', False) for metric in evaluator.metrics):
            return
        for dataset in self.datasets.values():
            if not getattr(dataset, 'annotated', True):
                raise DataError(
                    f"'{dataset.ann_file}' has no annotations to evaluate with; write the results "
                    'only, with --cfg-options test_evaluator.format_only=True '
                    'test_evaluator.outfile_prefix=PATH'
                )

    def _add(self, dataset: object) -> None:
        for inner in _unwrapped(dataset):
            self.datasets[id(inner)] = inner


def _unwrapped(dataset: object) -> Iterator[object]:
    if hasattr(dataset, 'skipped'):
        yield dataset
    for inner in [*getattr(dataset, 'datasets', []), getattr(dataset, 'dataset', None)]:
        if inner is not None:
            yield from _unwrapped(inner)
