"""Hooks for mmengine's Runner."""

from .amp_operators import AmpOperatorsHook
from .atomic_checkpoint import AtomicCheckpointHook
from .checkpoint_match import CheckpointMatchHook
from .deploy import DeployHook
from .early_stopping import ResumableEarlyStoppingHook
from .exact_resume import ExactResumeHook
from .finite_loss import FiniteLossHook
from .preemption import EXIT_STATUS, PreemptionHook

__all__ = [
    'AmpOperatorsHook',
    'AtomicCheckpointHook',
    'CheckpointMatchHook',
    'DeployHook',
    'EXIT_STATUS',
    'ExactResumeHook',
    'FiniteLossHook',
    'PreemptionHook',
    'ResumableEarlyStoppingHook',
]
