"""mmengine's checkpoint loaders, replaced by ones that run no code from the file.

A checkpoint is this run's own while mmengine's ``Runner.resume`` reads it, and is loaded with all
that it holds (:func:`restricted_load`). Any other, as of ``load_from``, ``init_cfg``, testing and
inference, is opened by a child process (:func:`load_untrusted`).
"""

import os
import os.path as osp
import sys
import tempfile
from typing import Any, Callable, Dict, Optional
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader, get_torchvision_models
from mmengine.runner.checkpoint import (
    _get_mmengine_home,
    _process_mmcls_checkpoint,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
)

from ..errors import CheckpointError
from .load import restricted_load
from .untrusted import load_untrusted


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a file on this machine; see the module for how."""
    path = osp.expanduser(filename)
    return (restricted_load if _is_resuming() else load_untrusted)(path, map_location)


def _is_resuming() -> bool:
    """Return whether a ``resume`` of mmengine, of a runner or strategy, waits for the checkpoint.

    The loader is told nothing but the path, so the call stack is asked.
    """
    frame = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get('__name__', '')
        if frame.f_code.co_name == 'resume' and module.startswith('mmengine.'):
            return True
        frame = frame.f_back
    return False


def load_from_http(
    filename: str,
    map_location: Any = None,
    model_dir: Optional[str] = None,
    progress: bool = os.isatty(0),
) -> Any:
    """Download a checkpoint to torch's cache, unless it is there, and load it."""
    rank, world_size = get_dist_info()
    if rank == 0:
        path = _download(filename, model_dir, progress)
    if world_size > 1:
        barrier()
        if rank > 0:
            path = _download(filename, model_dir, progress)
    return load_from_local(path, map_location)


def _download(url: str, folder: Optional[str], progress: bool) -> str:
    folder = folder or osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(urlparse(url).path))
    if not osp.exists(path):
        os.makedirs(folder, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, path, progress=progress)
        except (URLError, ValueError) as error:
            raise CheckpointError(
                f"'{url}' cannot be downloaded ({error}); check the address, or give a file"
            ) from None
    return path


def load_from_storage(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint from S3 or Petrel, by mmengine's file backend."""
    content = get_file_backend(filename, backend_args=dict(backend='petrel')).get(filename)
    with tempfile.TemporaryDirectory(prefix='epsanet-') as folder:
        path = osp.join(folder, osp.basename(filename))
        with open(path, 'wb') as file:
            file.write(content)
        return load_from_local(path, map_location)


def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Raise an error: only mmengine's own loader knows that service, and it runs code."""
    raise CheckpointError(f"'{filename}' cannot be loaded safely; download the file and name that")


def _zoo(models: Callable[[], Dict[str, str]], filename: str, map_location: Any) -> Any:
    prefix, _, name = filename.partition('://')
    urls = models()
    if name not in urls:
        raise CheckpointError(f"'{filename}' is unknown: {prefix} has no model '{name}'")
    if urls[name].startswith(('http://', 'https://')):
        return load_from_http(urls[name], map_location)
    return load_from_local(osp.join(_get_mmengine_home(), urls[name]), map_location)


def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Load weights that torchvision has published, such as ``torchvision://resnet50``."""
    return _zoo(get_torchvision_models, filename, map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load weights of OpenMMLab's list, such as ``open-mmlab://detectron2/resnet50_caffe``."""
    prefix, _, name = filename.partition('://')
    name = get_deprecated_model_names().get(name, name)
    return _zoo(get_external_models, f'{prefix}://{name}', map_location)


def load_from_mmcls(filename: str, map_location: Any = None) -> Any:
    """Load the backbone of a classifier of OpenMMLab."""
    return _process_mmcls_checkpoint(_zoo(get_mmcls_models, filename, map_location))


LOADERS = {
    '': load_from_local,
    'http://': load_from_http,
    'https://': load_from_http,
    'pavi://': load_from_pavi,
    r'(\S+\:)?s3://': load_from_storage,
    r'(\S+\:)?petrel://': load_from_storage,
    'modelzoo://': load_from_torchvision,
    'torchvision://': load_from_torchvision,
    'open-mmlab://': load_from_openmmlab,
    'openmmlab://': load_from_openmmlab,
    'mmcls://': load_from_mmcls,
}


def restrict_loaders() -> None:
    """Register our loaders for every prefix that mmengine knows."""
    for prefix, loader in LOADERS.items():
        CheckpointLoader.register_scheme(prefix, loader, force=True)
