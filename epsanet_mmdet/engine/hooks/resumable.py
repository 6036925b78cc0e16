"""Whether a checkpoint can be resumed by a run; mmengine believes most of what it reads."""

from numbers import Integral, Real
from typing import Any, Dict, List, Set, Tuple, Union

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from ...errors import CheckpointError


def check_content(runner: Runner, checkpoint: Any) -> None:
    """Check what a checkpoint holds before it is resumed.

    Raises:
        CheckpointError: If it is not of a training, or its counters or schedules are not those of
            this run.
    """
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'it holds a {type(checkpoint).__name__}, and not the state of a training'
        )
    for part in ('meta', 'state_dict', 'message_hub'):
        _require_dict(checkpoint, part, 'the checkpoint')
    for part in ('log_scalars', 'runtime_info', 'resumed_keys'):
        _require_dict(checkpoint['message_hub'], part, 'its message_hub')
    for name, value in checkpoint['message_hub']['runtime_info'].items():
        if str(name).startswith('best_score') and not isinstance(value, Real):
            raise CheckpointError(f'its {name} is {value!r}, and not a number')
    _check_counters(runner, checkpoint['meta'])
    if 'optimizer' not in checkpoint:
        runner.logger.warning(
            f"'{runner._load_from}' holds no optimizer's state: momentum and the like begin anew"
        )
    if _are_built(runner.param_schedulers):
        _check_schedulers(runner.param_schedulers, checkpoint.get('param_schedulers'))


def _require_dict(holder: dict, name: str, owner: str) -> None:
    if not isinstance(holder.get(name), dict):
        found = f'holds {name} of type {type(holder[name]).__name__}' if name in holder else None
        raise CheckpointError(
            f'{owner} {found or f"lacks {name}"}; resume from a checkpoint of a training, or start '
            'a new one from its weights with --cfg-options load_from=FILE'
        )


def _check_counters(runner: Runner, meta: Dict[str, Any]) -> None:
    for name in ('epoch', 'iter'):
        count = meta.get(name)
        if not isinstance(count, Integral) or isinstance(count, bool) or count < 0:
            raise CheckpointError(f'its meta.{name} is {count!r}, and not a count')
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


Schedulers = Union[List[_ParamScheduler], Dict[str, List[_ParamScheduler]]]


def _are_built(schedulers: Any) -> bool:
    """Return whether a runner has schedulers by now; before it trains, it may hold their config."""
    if isinstance(schedulers, dict):
        return all(_are_built(part) for part in schedulers.values())
    return isinstance(schedulers, list) and all(isinstance(s, _ParamScheduler) for s in schedulers)


def _check_schedulers(schedulers: Schedulers, states: Any) -> None:
    """Check that states are those of these schedulers, which would accept any."""
    if states is None:
        return
    if isinstance(schedulers, dict):
        if not isinstance(states, dict) or states.keys() != schedulers.keys():
            raise CheckpointError("its param_schedulers are of other optimizers than this run's")
        for name in schedulers:
            _check_schedulers(schedulers[name], states[name])
        return
    if not isinstance(states, list) or len(states) != len(schedulers):
        count = len(states) if isinstance(states, list) else 'no list of'
        raise CheckpointError(
            f'it holds {count} param_schedulers, and this run has {len(schedulers)}; keep the '
            'param_scheduler of the config that it was trained with'
        )
    for number, (scheduler, state) in enumerate(zip(schedulers, states)):
        own = scheduler.state_dict()
        if not isinstance(state, dict) or not _same_kind(own, state):
            raise CheckpointError(
                f'its param_schedulers[{number}] is not the state of a '
                f'{type(scheduler).__name__}; keep the param_scheduler of the config that it was '
                'trained with'
            )


def _same_kind(own: dict, state: dict) -> bool:
    """Return whether a state has all that a scheduler has, and numbers where that has numbers."""
    return all(
        isinstance(state[name], Real) == isinstance(value, Real)
        if name in state
        else callable(value)  # functions may not have been saved
        for name, value in own.items()
    )


def optimizer_options(runner: Runner) -> List[Tuple[str, Set[str]]]:
    """Return the class of the optimizer and the names of its options, for each parameter group."""
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        wrappers = list(wrapper.values())
    else:
        wrappers = [wrapper] if isinstance(wrapper, OptimWrapper) else []
    return [
        (type(wrapper.optimizer).__name__, set(group))
        for wrapper in wrappers
        for group in wrapper.optimizer.param_groups
    ]


def check_options(before: List[Tuple[str, Set[str]]], after: List[Tuple[str, Set[str]]]) -> None:
    """Check that optimizers have the options they had before their state was loaded.

    Raises:
        CheckpointError: If the state was that of another kind of optimizer.
    """
    for (name, had), (_, has) in zip(before, after):
        if not had <= has:
            raise CheckpointError(
                f'its optimizer has no {min(had - has)}, which {name} needs; keep the optimizer '
                'of the config that it was trained with'
            )
