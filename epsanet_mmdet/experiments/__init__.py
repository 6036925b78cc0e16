"""Train and compare the variants of a plan: the papers' comparisons or your own."""

from .interruption import Interrupted
from .plan_file import read_plan
from .prepare import prepare_plan
from .run import run_plan

__all__ = ['Interrupted', 'prepare_plan', 'read_plan', 'run_plan']
