"""Running the comparisons of the papers, or of one's own, and saying what came out."""

from .plan_file import read_plan
from .run import Interrupted, prepare_plan, run_plan

__all__ = ['Interrupted', 'prepare_plan', 'read_plan', 'run_plan']
