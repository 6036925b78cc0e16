"""Weights as safetensors, the format to share: such a file contains no code."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, Tuple, Union

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import CheckpointError
from ..utils.storage import save_whole, write_whole

SUFFIX = '.safetensors'


def write_weights(tensors: Dict[str, Tensor], meta: Dict, path: Union[str, Path]) -> None:
    """Write a checkpoint, as safetensors if its name ends in ``.safetensors``.

    Args:
        tensors: The ``state_dict``.
        meta: Metadata: strings, numbers, and lists and dicts of them.
        path: File to write or replace.

    Raises:
        StorageError: If it cannot be written.
    """
    if str(path).endswith(SUFFIX):
        own = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
        saved = getattr(tensors, '_metadata', {})
        versions = {name: facts['version'] for name, facts in saved.items() if 'version' in facts}
        metadata = dict(meta=json.dumps(meta), versions=json.dumps(versions))
        write_whole(save(own, {'format': 'pt', **metadata}), path)
    else:
        save_whole(dict(meta=meta, state_dict=tensors), path)


def read_weights_file(path: Union[str, Path], map_location: Any = None) -> Dict:
    """Read a safetensors file as a checkpoint of ``meta`` and ``state_dict``.

    ``meta`` is empty unless :func:`write_weights` wrote the file.

    Raises:
        CheckpointError: If it is damaged, or not a safetensors file.
    """
    tensors, metadata = read_tensors(path, map_location)
    versions = _read_dict(metadata.get('versions', ''))
    return dict(
        meta=_read_dict(metadata.get('meta', '')),
        state_dict=with_versions(tensors, versions) if versions else tensors,
    )


def _read_dict(text: str) -> Dict:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # written by another tool
        return {}
    return found if isinstance(found, dict) else {}


def with_versions(tensors: Dict[str, Tensor], versions: Dict[str, int]) -> OrderedDict:
    """Return tensors as a ``state_dict`` that records the versions of its modules."""
    state = OrderedDict(tensors)
    state._metadata = OrderedDict(
        (name, dict(version=number)) for name, number in versions.items() if type(number) is int
    )
    return state


def device_of(map_location: Any) -> torch.device:
    """Return the device that a ``map_location`` names; anything but a device means the CPU."""
    return torch.device(map_location if isinstance(map_location, (str, torch.device)) else 'cpu')


def read_tensors(path: Union[str, Path], map_location: Any = None) -> Tuple[Dict, Dict[str, str]]:
    """Read the tensors and the metadata of a safetensors file.

    Args:
        path: The file; it may be changed or removed afterwards.
        map_location: See :func:`device_of`.

    Raises:
        CheckpointError: If it is damaged, or not a safetensors file.
    """
    device = device_of(map_location)
    try:
        with safe_open(str(path), 'pt') as file:
            # clone, since they are views of the mapped file
            tensors = {k: file.get_tensor(k).clone().to(device) for k in file.keys()}
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f'{path} is damaged or not a safetensors file ({reason}); download or copy it again'
        ) from None
