"""Refusing to compare what was not trained alike."""

from typing import Dict, List

from mmengine.config import Config

from ..errors import ConfigError
from .fingerprint import differences, run_settings, shown
from .plan import Comparison

# In these alone compared rows may differ: what is compared, and what follows from it.
COMPARED = ('model.backbone', 'model.neck.in_channels')


def check_equal(comparison: Comparison, configs: Dict[str, Config]) -> List[str]:
    """Check that the rows of a comparison differ in nothing but their backbones.

    Args:
        comparison: The rows.
        configs: Their configs by the rows' names.

    Returns:
        A note for each difference that the plan allows.

    Raises:
        ConfigError: Naming the first other difference, and both values.
    """
    notes: List[str] = []
    base = run_settings(configs[comparison.baseline])
    for row in comparison.rows:
        for key, ours, others in differences(base, run_settings(configs[row.name])):
            if _covers(COMPARED, key):
                continue
            values = f'{shown(ours)} in {comparison.baseline}, {shown(others)} in {row.name}'
            if not _covers(comparison.allow, key):
                raise ConfigError(
                    f'rows of one comparison must have equal settings, but {key} is {values}; '
                    f"make them equal, or add '{key}' to the plan's allow to have the table say so"
                )
            notes.append(f'{key} is {values}.')
    return notes


def _covers(allowed, key: str) -> bool:
    return any(key == name or key.startswith(f'{name}.') for name in allowed)
