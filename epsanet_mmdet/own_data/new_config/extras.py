"""Hooks and loggers of a new config, with comments that explain them."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .switches import TRACKERS, Switches

EMA_SHARE = 0.1  # of the training that the average covers
MIN_DELTA = 0.0005  # half of the last digit of mmdet's AP


class Extras(NamedTuple):
    """Settings, and what they do, for the comments of the config."""

    notes: List[str]
    settings: List[Dict[str, Any]]


def make_hooks(switches: Switches, steps: int) -> Optional[Extras]:
    """Return the hooks of some switches.

    Args:
        switches: The choices.
        steps: Number of batches in the training.
    """
    hooks = []
    if switches.ema:
        covered = max(10, min(5000, round(EMA_SHARE * steps)))
        hooks.append(
            (
                f'EMA: validations and checkpoints use weights averaged over about {covered} '
                'batches, fewer at first',
                dict(
                    type='EMAHook',
                    ema_type='ExpMomentumEMA',
                    momentum=round(1 / covered, 6),
                    gamma=min(covered, 2000),
                    update_buffers=True,
                ),
            )
        )
    if switches.early_stopping:
        hooks.append(
            (
                f'Early stopping: training ends after {switches.early_stopping} validations '
                'without a better box AP. AP often rises where the learning rate falls, so '
                'fewer validations than lie between its steps can end too early',
                dict(
                    type='ResumableEarlyStoppingHook',
                    monitor='coco/bbox_mAP',
                    patience=switches.early_stopping,
                    min_delta=MIN_DELTA,
                ),
            )
        )
    return _extras(hooks)


def make_loggers(switches: Switches, name: str) -> Optional[Extras]:
    """Return the visualization backends of some switches.

    Args:
        switches: The choices.
        name: Name of the project or experiment.
    """
    known = dict(
        tensorboard=(
            'TensorBoard: show the curves with: tensorboard --logdir work_dirs',
            dict(type='TensorboardVisBackend'),
        ),
        wandb=(
            'Weights & Biases: log in before with: wandb login; or set WANDB_MODE=offline',
            dict(type='WandbVisBackend', init_kwargs=dict(project=name)),
        ),
        mlflow=(
            'MLflow: tracking_uri names the server or the file of the runs',
            dict(type='MLflowVisBackend', exp_name=name, tracking_uri='sqlite:///mlflow.db'),
        ),
    )
    chosen = [known[tracker] for tracker in TRACKERS if tracker in switches.log]
    files = ('Logs: files in the work folder, as always', dict(type='LocalVisBackend'))
    return _extras([files, *chosen]) if chosen else None


def _extras(pairs: Sequence[Tuple[str, Dict[str, Any]]]) -> Optional[Extras]:
    return Extras(*map(list, zip(*pairs))) if pairs else None
