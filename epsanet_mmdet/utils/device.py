"""Selecting a device by name."""

from typing import Optional

import torch

from ..errors import ConfigError


def usable_device(name: Optional[str] = None) -> torch.device:
    """Return a device after checking that it works.

    Args:
        name: Name such as ``'cpu'`` or ``'cuda:1'``; by default a GPU if there is one.

    Raises:
        ConfigError: If the device cannot be used.
    """
    name = name or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{name}' cannot be used ({reason}); try cpu")
