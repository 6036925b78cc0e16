"""Find the configs of installed packages, such as ``mmdet::_base_/default_runtime.py``."""

import os.path as osp
from contextlib import contextmanager
from typing import Iterator
from unittest import mock

from mmengine.config import config as mmengine_config


@contextmanager
def quick_bases() -> Iterator[None]:
    """Let mmengine look for a base config by its path first.

    Otherwise it parses the metafiles of the whole package, a hundred in mmdet, for each base that
    a config names, which takes most of the time of loading it.
    """
    in_metafiles = getattr(mmengine_config, '_get_external_cfg_path', None)

    def find(package_path: str, name: str) -> str:
        path = osp.join(package_path, '.mim', 'configs', name)
        return path if osp.isfile(path) else in_metafiles(package_path, name)

    if in_metafiles is None:  # another version of mmengine
        yield
    else:
        with mock.patch.object(mmengine_config, '_get_external_cfg_path', find):
            yield
