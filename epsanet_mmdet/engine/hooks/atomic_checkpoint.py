"""Checkpoints that are complete or absent, and resuming from complete ones only."""

import os
import os.path as osp
import re
from collections import deque
from pathlib import Path
from typing import Any, Dict, Iterable, Optional

from mmengine.dist import broadcast_object_list, is_main_process, master_only
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...checkpoint.record import find_fault, find_latest
from ...errors import CheckpointError
from ...utils.storage import remove_partial_files, write_whole
from ..disk_space import check_room, name_log_folders
from .loadable_state import keep_loadable

INTERRUPTED = 'interrupted.pth'
# Files that mmengine, and this hook in earlier versions, delete because a checkpoint names them.
PATHS = ('best_ckpt', 'keep_ckpt_ids', 'last_ckpt', 'outdated_ckpts')


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, with a complete checkpoint at every moment.

    A checkpoint is written atomically and its size and SHA-256 are recorded
    (:mod:`epsanet_mmdet.checkpoint.record`). Then ``last_checkpoint`` is changed, and only after
    that are outdated checkpoints removed. They are found by the file names in the run's own
    folder, never through a checkpoint. ``--resume`` without a path resumes from the checkpoint in
    that folder that ``last_checkpoint`` names, or else from the newest one that verifies. A file
    that is resumed or loaded by its path must verify, too. Before training, the folder must be
    writable and have room (:func:`epsanet_mmdet.engine.disk_space.check_room`).

    Args:
        *args, **kwargs: See ``CheckpointHook``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._local = '://' not in str(self.out_dir)
        if self._local and self.backend_args is None and self.file_client_args is None:
            self.backend_args = dict(backend='atomic')
        self._training = False
        self._left_out: set = set()

    # Resuming

    def before_run(self, runner: Runner) -> None:
        name_log_folders(runner)
        if runner._has_loaded:
            return
        if runner._resume and runner._load_from is None:
            latest = [self.find_latest_checkpoint(runner) if is_main_process() else None]
            broadcast_object_list(latest)
            (runner._load_from,) = latest
            runner._resume = runner._load_from is not None
        elif runner._load_from is not None and osp.isfile(runner._load_from):
            fault = find_fault(runner._load_from, own=False)
            if fault is not None:
                raise CheckpointError(f"'{runner._load_from}' {fault}; use an earlier checkpoint")

    def find_latest_checkpoint(self, runner: Runner) -> Optional[str]:
        """Return the checkpoint to resume from, in the run's own folder."""
        try:
            with open(osp.join(runner.work_dir, 'last_checkpoint'), errors='replace') as file:
                named = osp.basename(file.read(10_000).strip())
        except OSError:
            named = ''
        folder = runner.work_dir
        if self.out_dir is not None and self.out_dir != runner.work_dir:
            folder = osp.join(self.out_dir, osp.basename(runner.work_dir.rstrip(osp.sep)))
        if not self._local:
            return f'{folder}/{named}' if self._step(named) is not None else None
        found = [*self._checkpoints(folder).values(), Path(folder, INTERRUPTED)]
        found = [path for path in found if path.is_file()]
        found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        latest = find_latest(found, named)
        if latest is None and (found or named):
            runner.logger.warning(
                f"no checkpoint in '{folder}' can be resumed; training starts from the beginning"
            )
        return latest and str(latest)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop the names of files to be removed."""
        if runner._resume:
            hub = checkpoint['message_hub']
            for part in (hub['runtime_info'], hub['resumed_keys']):
                for name in [name for name in part if str(name).startswith(PATHS)]:
                    del part[name]

    def _step(self, name: str, prefix: str = '') -> Optional[int]:
        """Return the epoch or iteration in the name of a checkpoint, or None for other files."""
        parts = [re.escape(part) for part in re.split(r'\{.*?\}', self.filename_tmpl)]
        found = re.fullmatch(prefix + r'(\d+)'.join(parts), name)
        return None if found is None else int((found.groups() or (0,))[0])

    def _checkpoints(self, folder: str, prefix: str = '', until: float = float('inf')) -> dict:
        """Return the checkpoints in a folder by epoch or iteration, in ascending order."""
        found = {self._step(path.name, prefix): path for path in Path(folder).glob('*')}
        found.pop(None, None)
        return {s: path for s, path in sorted(found.items()) if s <= until and path.is_file()}

    # Training

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self._training = True
        # Otherwise mmengine removes the best checkpoint before the better one is complete.
        self.file_backend.isfile = self.file_backend.isdir = lambda path: False
        self.keep_ckpt_ids = deque()
        if not self._local:
            return
        done = runner.epoch if self.by_epoch else runner.iter
        self.keep_ckpt_ids.extend(self._checkpoints(self.out_dir, until=done))
        if self.save_best:
            self._find_best(done)
        if is_main_process():
            os.makedirs(self.out_dir, exist_ok=True)
            for folder in {self.out_dir, runner.work_dir}:
                remove_partial_files(folder)
            self._remove_outdated(runner)
            check_room(runner, self)

    def after_train(self, runner: Runner) -> None:
        super().after_train(runner)
        self._training = False

    def _find_best(self, done: int) -> None:
        """Find the best checkpoints of the resumed run."""
        for key in self.key_indicators:
            pattern = '.+' if key == 'auto' else re.escape(key.replace('/', '_'))
            found = self._checkpoints(self.out_dir, f'best_{pattern}_', done)
            best = str(found[max(found)]) if found else None
            if len(self.key_indicators) == 1:
                self.best_ckpt_path = best
            else:
                self.best_ckpt_path_dict[key] = best

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: Dict[str, Any]) -> None:
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        self.save_and_point(runner, name, meta)
        if step not in self.keep_ckpt_ids:
            self.keep_ckpt_ids.append(step)
        self._remove_outdated(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: Dict[str, Any]) -> None:
        if not self._training:  # a validation without training
            return
        before = self._best()
        super()._save_best_checkpoint(runner, metrics)  # which also saves the last one again
        self.remove(runner, before - self._best())

    def _best(self) -> set:
        paths = getattr(self, 'best_ckpt_path_dict', {}).values()
        return {*paths, getattr(self, 'best_ckpt_path', None)} - {None}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Leave out state that :func:`restricted_load` would refuse."""
        left_out = [name for name in keep_loadable(checkpoint) if name not in self._left_out]
        self._left_out.update(left_out)
        if left_out:
            runner.logger.warning(
                f'left out of the checkpoints, since no loader accepts it: {", ".join(left_out)}'
            )

    def save_and_point(self, runner: Runner, name: str, meta: Dict[str, Any]) -> None:
        """Save a checkpoint to resume from, then write its path to ``last_checkpoint``.

        Args:
            runner: The run.
            name: File name in the folder of checkpoints.
            meta: Numbers of finished epochs and iterations, ``epoch`` and ``iter``.
        """
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            path = osp.join(self.out_dir, name)
            write_whole(str(path), Path(runner.work_dir, 'last_checkpoint'))

    def _remove_outdated(self, runner: Runner) -> None:
        """Remove the oldest checkpoints beyond ``max_keep_ckpts``."""
        outdated = set()
        while 0 < self.max_keep_ckpts < len(self.keep_ckpt_ids):
            name = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            outdated.add(self.file_backend.join_path(self.out_dir, name))
        self.remove(runner, outdated - {self.last_ckpt})  # the template may name them all alike

    @master_only
    def remove(self, runner: Runner, paths: Iterable[str]) -> None:
        """Remove checkpoints that newer ones have replaced."""
        for path in paths:
            try:
                self.file_backend.remove(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                runner.logger.warning(f"'{path}' cannot be removed: {error}")
