"""mmengine's checkpoint loaders, replaced by ones that run no code from the file.

While mmengine's ``Runner.resume`` reads a checkpoint, it is the run's own and is loaded with
everything in it (:func:`restricted_load`). Any other checkpoint, from ``load_from``, ``init_cfg``,
testing or inference, is opened by a child process (:func:`load_untrusted`).
"""

import os
import os.path as osp
import sys
import tempfile
from traceback import walk_stack
from typing import Any, Callable, Dict
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
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
    """Load a file of this machine."""
    path = osp.expanduser(filename)
    return (restricted_load if _is_resuming() else load_untrusted)(path, map_location)


def _is_resuming() -> bool:
    """Return whether a ``resume`` method of mmengine is among the callers.

    mmengine passes the loader nothing but the path. Runners and every strategy have such a method
    of their own, so the call stack is the one place that covers all of them.
    """
    return any(
        frame.f_code.co_name == 'resume'
        and frame.f_globals.get('__name__', '').startswith('mmengine.')
        for frame, _ in walk_stack(sys._getframe())
    )


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint to torch's cache unless it is there, and load it."""
    if is_main_process():
        _download(filename)
    barrier()
    return load_from_local(_download(filename), map_location)


def _download(url: str) -> str:
    path = osp.join(torch.hub.get_dir(), 'checkpoints', osp.basename(urlparse(url).path))
    if not osp.exists(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, path, progress=os.isatty(0))
        except (URLError, ValueError) as error:
            raise CheckpointError(
                f"'{url}' cannot be downloaded ({error}); check the address, or name a file"
            ) from None
    return path


def load_from_storage(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint from S3 or Petrel with mmengine's file backend."""
    content = get_file_backend(filename, backend_args=dict(backend='petrel')).get(filename)
    with tempfile.TemporaryDirectory(prefix='epsanet-') as folder:
        path = osp.join(folder, osp.basename(filename))
        with open(path, 'wb') as file:
            file.write(content)
        return load_from_local(path, map_location)


def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Raise a CheckpointError: mmengine's own loader, which runs code, is the only one."""
    raise CheckpointError(f"'{filename}' cannot be loaded safely; download the file and name it")


def _zoo(models: Callable[[], Dict[str, str]], filename: str, map_location: Any) -> Any:
    prefix, _, name = filename.partition('://')
    urls = models()
    if name not in urls:
        raise CheckpointError(f"'{filename}' is unknown: {prefix} has no model '{name}'")
    if urls[name].startswith(('http://', 'https://')):
        return load_from_http(urls[name], map_location)
    return load_from_local(osp.join(_get_mmengine_home(), urls[name]), map_location)


def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Load weights published by torchvision, such as ``torchvision://resnet50``."""
    return _zoo(get_torchvision_models, filename, map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load weights from OpenMMLab's list, such as ``open-mmlab://detectron2/resnet50_caffe``."""
    prefix, _, name = filename.partition('://')
    name = get_deprecated_model_names().get(name, name)
    return _zoo(get_external_models, f'{prefix}://{name}', map_location)


def load_from_mmcls(filename: str, map_location: Any = None) -> Any:
    """Load the backbone of a classifier from OpenMMLab, such as ``mmcls://vgg11``."""
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
