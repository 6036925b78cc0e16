"""Refusing, in one line that names the file, a checkpoint that does not fit the run."""

from functools import partial
from numbers import Integral, Real
from typing import Any, Callable, Dict, List, Set, Tuple, Union

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn

from ...checkpoint import require_match
from ...checkpoint.fit import require_fit
from ...errors import CheckpointError, UserError
from .guards import drop_repeated

Schedulers = Union[List[_ParamScheduler], Dict[str, List[_ParamScheduler]]]
KEEP = 'keep the {} of the config that it was trained with'


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Refuse, in one line, a checkpoint that does not fit the run.

    The model refuses one of another architecture, see
    :func:`epsanet_mmdet.checkpoint.require_match`. A checkpoint to test or to resume from must have
    all of the model's weights; one to resume from also needs counters, schedules and optimizer
    state that match this run.
    """

    priority = 'HIGHEST'  # before the hooks that read what is checked here

    def before_run(self, runner: Runner) -> None:
        drop_repeated(runner)  # here, since this is the first hook of a run
        require_match(_detector(runner))
        if 'load_or_resume' not in vars(runner):
            # Hooks see no errors, and every run reads its checkpoint in this method.
            runner.load_or_resume = partial(_load_or_resume, runner, runner.load_or_resume)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if runner._resume:
            check_content(runner, checkpoint)
        elif not isinstance(runner._train_loop, BaseLoop):  # it is built before a training
            require_fit(_detector(runner), checkpoint)


def _detector(runner: Runner) -> nn.Module:
    model = runner.model
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _load_or_resume(runner: Runner, load_or_resume: Callable) -> None:
    if runner._resume:
        runner.load_checkpoint = partial(runner.load_checkpoint, strict=True)
    options = optimizer_options(runner)
    try:
        load_or_resume()
        check_options(options, optimizer_options(runner))
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:  # odd content raises all kinds of errors inside mmengine and torch
        file = str(runner._load_from)
        if isinstance(error, UserError) and not isinstance(error, CheckpointError):
            raise
        if isinstance(error, CheckpointError) and file in str(error):
            raise
        reason = str(error) if isinstance(error, UserError) else _reason(error)
        action = 'resumed' if runner._resume else 'loaded'
        raise CheckpointError(f"'{file}' cannot be {action}: {reason}") from error
    finally:
        vars(runner).pop('load_checkpoint', None)


def _reason(error: Exception) -> str:
    """Return the message of an error of mmengine or torch as one line."""
    if isinstance(error, KeyError):
        return f'it lacks {error}'
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = ' '.join(lines[:2])[:500] or type(error).__name__
    return ''.join(c if c.isprintable() else '?' for c in reason)  # the file chose the names in it


def check_content(runner: Runner, checkpoint: Any) -> None:
    """Check the content of a checkpoint before it is resumed.

    Raises:
        CheckpointError: If it does not hold the state of a training, or its counters or schedules
            do not match this run.
    """
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise CheckpointError(f'it holds a {kind}, not the state of a training')
    for name in ('meta', 'state_dict', 'message_hub'):
        _require_dict(checkpoint, name, 'the checkpoint')
    for name in ('log_scalars', 'runtime_info', 'resumed_keys'):
        _require_dict(checkpoint['message_hub'], name, 'its message_hub')
    for name, value in checkpoint['message_hub']['runtime_info'].items():
        if str(name).startswith('best_score') and not isinstance(value, Real):
            raise CheckpointError(f'its {name} is {value!r}, not a number')
    _check_counters(runner, checkpoint['meta'])
    if 'optimizer' not in checkpoint:
        runner.logger.warning(
            f"'{runner._load_from}' holds no optimizer's state: momentum and the like start anew"
        )
    if _are_built(runner.param_schedulers):
        _check_schedulers(runner.param_schedulers, checkpoint.get('param_schedulers'))


def _require_dict(holder: dict, name: str, owner: str) -> None:
    if not isinstance(holder.get(name), dict):
        kind = type(holder.get(name)).__name__
        fault = f'holds {name} of type {kind}' if name in holder else f'lacks {name}'
        raise CheckpointError(
            f'{owner} {fault}; resume from a checkpoint of a training, or start a new one from its '
            'weights with --cfg-options load_from=FILE'
        )


def _check_counters(runner: Runner, meta: Dict[str, Any]) -> None:
    for name in ('epoch', 'iter'):
        count = meta.get(name)
        if not isinstance(count, Integral) or isinstance(count, bool) or count < 0:
            raise CheckpointError(f'its meta.{name} is {count!r}, not a count')
    loop = runner.train_loop
    for kind, name, most in (
        (EpochBasedTrainLoop, 'epoch', 'max_epochs'),
        (IterBasedTrainLoop, 'iter', 'max_iters'),
    ):
        if isinstance(loop, kind) and meta[name] > getattr(loop, most):
            raise CheckpointError(
                f'it is of {name} {meta[name]}, and this run ends at {getattr(loop, most)}; '
                f'raise train_cfg.{most}'
            )


def _are_built(schedulers: Any) -> bool:
    """Return whether the schedulers of a runner are built; before training they may be configs."""
    if isinstance(schedulers, dict):
        return all(_are_built(part) for part in schedulers.values())
    return isinstance(schedulers, list) and all(isinstance(s, _ParamScheduler) for s in schedulers)


def _check_schedulers(schedulers: Schedulers, states: Any) -> None:
    """Check that states belong to these schedulers, which would accept any state."""
    if states is None:
        return
    if isinstance(schedulers, dict):
        if not isinstance(states, dict) or states.keys() != schedulers.keys():
            raise CheckpointError("its param_schedulers belong to other optimizers than this run's")
        for name in schedulers:
            _check_schedulers(schedulers[name], states[name])
        return
    if not isinstance(states, list) or len(states) != len(schedulers):
        count = len(states) if isinstance(states, list) else 'no list of'
        raise CheckpointError(
            f'it holds {count} param_schedulers, and this run has {len(schedulers)}; '
            + KEEP.format('param_scheduler')
        )
    for number, (scheduler, state) in enumerate(zip(schedulers, states)):
        own = scheduler.state_dict()
        if not isinstance(state, dict) or not _fits(own, state):
            raise CheckpointError(
                f'its param_schedulers[{number}] is not the state of a {type(scheduler).__name__}; '
                + KEEP.format('param_scheduler')
            )


def _fits(own: dict, state: dict) -> bool:
    """Return whether a state has all keys of a scheduler's own, and numbers for numbers."""
    return all(
        isinstance(state[name], Real) == isinstance(value, Real)
        if name in state
        else callable(value)  # functions that cannot be loaded are not saved
        for name, value in own.items()
    )


def optimizer_options(runner: Runner) -> List[Tuple[str, Set[str]]]:
    """Return the optimizer's class and the names of its options for each parameter group."""
    wrappers = runner.optim_wrapper
    wrappers = wrappers.values() if isinstance(wrappers, OptimWrapperDict) else [wrappers]
    return [
        (type(wrapper.optimizer).__name__, set(group))
        for wrapper in wrappers
        if isinstance(wrapper, OptimWrapper)  # and not its config, before training
        for group in wrapper.optimizer.param_groups
    ]


def check_options(before: List[Tuple[str, Set[str]]], after: List[Tuple[str, Set[str]]]) -> None:
    """Check that optimizers kept their options, which loading a state replaces.

    Raises:
        CheckpointError: If the state was that of another kind of optimizer.
    """
    for (name, had), (_, has) in zip(before, after):
        if not had <= has:
            raise CheckpointError(
                f'its optimizer has no {min(had - has)}, which {name} needs; '
                + KEEP.format('optimizer')
            )
