"""One line that names the file, whatever is wrong with a checkpoint that a run loads or resumes."""

from functools import partial
from typing import Callable

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...checkpoint import require_match
from ...errors import CheckpointError, UserError
from .resumable import check_content, check_options, optimizer_options


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Has a run refuse, in one line, a checkpoint that does not fit it.

    The model refuses one of another architecture, see
    :func:`epsanet_mmdet.checkpoint.require_match`; a resumed one must have all of the model's
    weights, and counters, schedules and an optimizer's state of this run's kind.
    """

    priority = 'HIGHEST'  # before hooks that read what is checked here

    def before_run(self, runner: Runner) -> None:
        model = runner.model
        require_match(model.module if is_model_wrapper(model) else model)
        if 'load_or_resume' not in vars(runner):
            # Hooks cannot see errors; this method is what reads checkpoints, of all runs.
            runner.load_or_resume = partial(_load_or_resume, runner, runner.load_or_resume)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if runner._resume:
            check_content(runner, checkpoint)


def _load_or_resume(runner: Runner, load_or_resume: Callable) -> None:
    if runner._resume:
        runner.load_checkpoint = partial(runner.load_checkpoint, strict=True)
    options = optimizer_options(runner)
    try:
        load_or_resume()
        check_options(options, optimizer_options(runner))
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a file's content leads to inside mmengine and torch
        file = str(runner._load_from)
        if isinstance(error, UserError):
            if not isinstance(error, CheckpointError) or file in str(error):
                raise
            reason = str(error)
        else:
            reason = _reason(error)
        action = 'resumed' if runner._resume else 'loaded'
        raise CheckpointError(f"'{file}' cannot be {action}: {reason}") from error
    finally:
        vars(runner).pop('load_checkpoint', None)


def _reason(error: Exception) -> str:
    """Return what an error of mmengine or torch says, in one line."""
    if isinstance(error, KeyError):
        return f'it lacks {error}'
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = ' '.join(lines[:2])[:500] or type(error).__name__
    return ''.join(c if c.isprintable() else '?' for c in reason)  # names in it are the file's
