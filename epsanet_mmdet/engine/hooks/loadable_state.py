"""Removing from a checkpoint what the restricted loader would refuse."""

import io
import pickle
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, List

import torch
from torch import Tensor, nn

from ...checkpoint import restricted_load
from ...errors import CheckpointError

TENSORS = (Tensor, nn.Parameter)
NOTHING = object()


def keep_loadable(checkpoint: dict) -> List[str]:
    """Remove from a checkpoint what :func:`restricted_load` would refuse, such as functions.

    Such entries are removed from dicts; any other container of one is removed as a whole.

    Returns:
        Names of the removed entries, such as ``param_schedulers[0].anneal_func``.
    """
    left_out: List[str] = []
    kept = _loadable(checkpoint, '', left_out)
    if left_out:
        checkpoint.clear()
        checkpoint.update(kept)
    return left_out


def _loadable(value: Any, name: str, left_out: List[str]) -> Any:
    if can_be_loaded(value):
        return value
    if type(value) in (dict, OrderedDict):
        parts = {k: _loadable(item, f'{name}.{k}', left_out) for k, item in value.items()}
        return type(value)((key, part) for key, part in parts.items() if part is not NOTHING)
    if type(value) is list and all(type(item) is dict for item in value):  # schedulers' states
        return [_loadable(item, f'{name}[{i}]', left_out) for i, item in enumerate(value)]
    left_out.append(name.removeprefix('.'))
    return NOTHING


class _Pickler(pickle.Pickler):
    """A pickler that leaves out tensors, which can always be loaded."""

    def reducer_override(self, value: Any) -> Any:
        return (OrderedDict, ()) if type(value) in TENSORS else NotImplemented


def can_be_loaded(value: Any) -> bool:
    """Return whether :func:`restricted_load` can load a saved value, apart from its tensors."""
    file = io.BytesIO()
    try:
        torch.save(value, file, pickle_module=SimpleNamespace(Pickler=_Pickler))
        file.seek(0)
        restricted_load(file)
    except (CheckpointError, pickle.PicklingError, AttributeError, TypeError):
        return False
    return True
