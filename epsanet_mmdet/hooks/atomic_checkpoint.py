"""Checkpoints that are there whole or not at all, and resuming from none but those."""

import logging
import os
import os.path as osp
from pathlib import Path
from typing import Any, Dict, List, Optional

from mmengine.dist import barrier, is_main_process, master_only
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..disk_space import check_room
from ..storage import is_whole, remove_partial_files, write_whole

INTERRUPTED = 'interrupted.pth'


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` that never leaves a run without a whole checkpoint.

    A checkpoint is written beside its place and renamed; ``last_checkpoint`` is changed after
    that, and only then are outdated checkpoints removed. ``--resume`` without a path goes on
    from the newest whole checkpoint, whatever ``last_checkpoint`` says. Before training, the
    folder must be writable and have room (:func:`epsanet_mmdet.disk_space.check_room`).

    Args:
        *args, **kwargs: As of ``CheckpointHook``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        local = '://' not in str(self.out_dir)
        if local and self.backend_args is None and self.file_client_args is None:
            self.backend_args = dict(backend='atomic')

    def before_run(self, runner: Runner) -> None:
        if runner._resume and runner._load_from is None:
            if is_main_process():
                self._mend_last_checkpoint(runner)
            barrier()

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self.file_backend = _RemoveLater(self.file_backend)
        if is_main_process() and '://' not in str(self.out_dir):
            os.makedirs(self.out_dir, exist_ok=True)
            for folder in {self.out_dir, runner.work_dir}:
                remove_partial_files(folder)
            self.remove_outdated(runner, runner.message_hub.get_info('outdated_ckpts', []))
            check_room(runner, self)

    def _mend_last_checkpoint(self, runner: Runner) -> None:
        """Have ``last_checkpoint`` name the newest whole checkpoint."""
        pointer = Path(runner.work_dir, 'last_checkpoint')
        named = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
        elsewhere = '://' in named or '://' in str(self.out_dir)
        if elsewhere or osp.isdir(named) or is_whole(named):  # a folder, as of DeepSpeed
            return
        candidates = self._candidates(runner)
        newest = next((path for path in candidates if is_whole(path)), None)
        if newest is not None:
            why = f"'{named}', which last_checkpoint names, is" if named else 'last_checkpoint is'
            runner.logger.warning(
                f"{why} missing or damaged; resuming from the newest whole checkpoint '{newest}'"
            )
            write_whole(str(newest).encode(), pointer)
        elif pointer.exists():
            runner.logger.warning(
                f"no checkpoint in '{runner.work_dir}' is whole; training starts from the beginning"
            )
            pointer.unlink()

    def _candidates(self, runner: Runner) -> List[Path]:
        """Give the files that the hooks wrote to resume from, the newest first."""
        folder = runner.work_dir
        if self.out_dir is not None and self.out_dir != runner.work_dir:
            folder = osp.join(self.out_dir, osp.basename(runner.work_dir.rstrip(osp.sep)))
        found = [*Path(folder).glob(self.filename_tmpl.format('*')), Path(folder, INTERRUPTED)]
        found = [path for path in found if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: Dict[str, Any]) -> None:
        if self.max_keep_ckpts > 0 and step not in list(self.keep_ckpt_ids)[-1:]:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                oldest = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
                self.file_backend.remove(self.file_backend.join_path(self.out_dir, oldest))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        outdated = list(self.file_backend.removed)
        runner.message_hub.update_info('outdated_ckpts', outdated)

        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self.save_and_point(runner, name, meta)
        self.remove_outdated(runner, outdated)
        self.file_backend.removed.clear()

    def _save_best_checkpoint(self, runner: Runner, metrics: Dict[str, Any]) -> None:
        super()._save_best_checkpoint(runner, metrics)  # which saves the last one again, if any
        self.remove_outdated(runner, self.file_backend.removed)
        self.file_backend.removed.clear()

    def save_and_point(self, runner: Runner, name: str, meta: Dict[str, Any]) -> None:
        """Save a checkpoint to resume from, then have ``last_checkpoint`` name it.

        Args:
            runner: The run.
            name: File name in the checkpoints' folder.
            meta: ``epoch`` and ``iter`` that are done.
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
            write_whole(str(path).encode(), Path(runner.work_dir, 'last_checkpoint'))

    @master_only
    def remove_outdated(self, runner: Runner, paths: List[str]) -> None:
        """Remove checkpoints that newer ones have taken the place of."""
        kept = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        kept.update(getattr(self, 'best_ckpt_path_dict', {}).values())
        backend = self.file_backend.backend
        for path in paths:
            if path in kept:
                continue
            try:
                if backend.isfile(path):
                    backend.remove(path)
                elif backend.isdir(path):  # as DeepSpeed's
                    backend.rmtree(path)
            except OSError as error:
                runner.logger.log(logging.WARNING, f"'{path}' cannot be removed: {error}")


class _RemoveLater:
    """A storage backend that notes what is to be removed, and does the rest at once."""

    def __init__(self, backend: Any, removed: Optional[List[str]] = None) -> None:
        self.backend = backend
        self.removed = [] if removed is None else removed

    def remove(self, path: str) -> None:
        if path not in self.removed:
            self.removed.append(path)

    rmtree = remove

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)
