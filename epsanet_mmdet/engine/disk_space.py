"""Full disks: detected before a training, and named when they stop one."""

import logging
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Callable

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend
from torch import nn

from ..errors import StorageError
from ..utils.storage import check_file_writable, storage_error

OPTIMIZER_TENSORS = dict(SGD=1, Adagrad=1, none=0)  # state tensors per parameter; others have 2


def checkpoint_bytes(model: nn.Module, optimizer: str = 'AdamW') -> int:
    """Estimate the size of a checkpoint: weights, buffers, and the optimizer's state.

    Args:
        model: The trained model; frozen parameters have no state.
        optimizer: Name of the optimizer's class, or 'none'.
    """
    parameters = list(model.parameters())
    held = sum(t.numel() * t.element_size() for t in (*parameters, *model.buffers()))
    trained = sum(p.numel() * p.element_size() for p in parameters if p.requires_grad)
    return held + OPTIMIZER_TENSORS.get(optimizer, 2) * trained


def check_room(runner: Runner, hook: CheckpointHook) -> None:
    """Check that the folder of the checkpoints is writable and has room.

    There must be room for one more checkpoint, since the old one stays until the new one is
    complete. A warning is logged if not all checkpoints of the run will fit.

    Raises:
        StorageError: Naming the folder, and the bytes that are needed and free.
    """
    folder = Path(hook.out_dir)
    check_file_writable(folder / 'checkpoint')
    optimizer = type(getattr(runner.optim_wrapper, 'optimizer', None)).__name__
    needed = checkpoint_bytes(runner.model, optimizer if hook.save_optimizer else 'none')
    free = shutil.disk_usage(folder).free
    sizes = f'a checkpoint takes about {needed / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB are free'
    if free < needed:
        raise StorageError(
            f"no room for a checkpoint in '{folder}': {sizes}; free space there, or choose another "
            '--work-dir'
        )
    count = _checkpoints_to_come(runner, hook)
    if free < count * needed:
        runner.logger.warning(
            f"the {count} checkpoints of this run will not fit in '{folder}': {sizes}; free "
            'space there, or keep fewer: --cfg-options default_hooks.checkpoint.max_keep_ckpts=2'
        )


def _checkpoints_to_come(runner: Runner, hook: CheckpointHook) -> int:
    left = runner.max_epochs - runner.epoch if hook.by_epoch else runner.max_iters - runner.iter
    count = -(-left // hook.interval) if hook.interval > 0 else int(hook.save_last)
    return min(count, hook.max_keep_ckpts + 1) if hook.max_keep_ckpts > 0 else count


def name_log_folders(runner: Runner) -> None:
    """Make a disk that fills up while logging stop the run with an error that names the folder.

    Otherwise Python's logging prints a traceback for every line, and mmengine's
    ``LocalVisBackend`` raises an error without a name.
    """
    for handler in runner.logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = partial(_raise_storage_error, handler)
    for backend in runner.visualizer._vis_backends.values():
        if isinstance(backend, LocalVisBackend) and '_dump' not in vars(backend):
            backend._dump = partial(_dump, backend._dump)


def _raise_storage_error(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    error = sys.exc_info()[1]
    if isinstance(error, OSError):
        found = storage_error(error, os.path.dirname(handler.baseFilename))
        if found is not None:
            raise found
    logging.Handler.handleError(handler, record)


def _dump(dump: Callable, values: dict, path: str, file_format: str) -> None:
    try:
        dump(values, path, file_format)
    except OSError as error:
        raise storage_error(error, os.path.dirname(path)) or error from None
