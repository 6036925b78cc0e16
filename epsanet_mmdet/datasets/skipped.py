"""A report of the images and annotations that data sets left out, when a run ends."""

import logging
from dataclasses import dataclass, field
from typing import Dict, Iterator, List

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
    """The images and annotations that were left out of one annotation file.

    Args:
        source: The file.
        images: The fault of each image, by path.
        annotations: The fault of each annotation, by a text that names it and its image.
    """

    source: str
    images: Dict[str, str] = field(default_factory=dict)
    annotations: Dict[str, str] = field(default_factory=dict)

    @property
    def harmful(self) -> Dict[str, str]:
        """The annotations that mmdet itself would not have left out."""
        return {k: why for k, why in self.annotations.items() if not why.startswith(EMPTY)}

    def lines(self) -> List[str]:
        """Return the counts, then a line for each image and annotation."""
        found = {**self.images, **self.annotations}
        return [
            f'{len(self.images)} images and {len(self.annotations)} annotations of {self.source} '
            'were left out',
            *(f'  {printable(name, 500)}: {fault}' for name, fault in found.items()),
        ]


@HOOKS.register_module()
class SkippedDataHook(Hook):
    """Report at the end of a run what its data sets left out, on all ranks together.

    A data set without annotations stops an evaluation, which would take hours for an AP of -1.

    The report covers data sets with an attribute ``skipped``, and a method ``went_bad`` for images
    that went bad during the run: see :class:`epsanet_mmdet.datasets.CheckedCocoDataset`.
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
