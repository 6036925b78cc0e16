"""What ``tools/check_config.py`` does."""

from typing import Sequence

from ..configs import find_config
from .read import find_code


def run_check(configs: Sequence[str]) -> int:
    """Print for each config that it is pure data, or what in it would run code.

    Args:
        configs: Paths or bare names.

    Returns:
        The process's status: 0, or 1 if one is no pure data.

    Raises:
        ConfigError: If one does not exist or cannot be read.
    """
    status = 0
    for name in configs:
        path = find_config(name)
        refusals = find_code(path)
        status = status or int(bool(refusals))
        print(f'{path}: ' + (f'{len(refusals)} refused' if refusals else 'pure data'))
        for refusal in refusals:
            print(f'  {refusal}')
    return status
