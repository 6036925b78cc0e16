"""EPSANet, and the attention and fusion modules it is compared with, for MMDetection.

Importing this package registers everything in mmdet's registries; a config does so with
``custom_imports = dict(imports=['epsanet_mmdet'])``. Without the mm* packages only
``epsanet_mmdet.layers`` can be used, which needs torch alone.
"""

import warnings
from importlib.util import find_spec

from . import moved  # noqa: F401
from .utils.environment import INSTALL_HINT, check_stack
from .version import __version__

__all__ = ['__version__', 'infer']

if check_stack():
    # mmengine's, whenever a tool starts; which users of this package cannot change.
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    from . import checkpoint, datasets, engine, models  # noqa: F401
    from .registry import SCOPE  # noqa: F401
else:
    warnings.warn(
        'mmengine, mmcv and mmdet are not installed: only epsanet_mmdet.layers can be used; '
        + INSTALL_HINT,
        stacklevel=2,
    )

if find_spec('.ops', __name__):
    from . import ops  # noqa: F401


def __getattr__(name: str):
    """Import :func:`epsanet_mmdet.inference.infer` when it is first used."""
    if name == 'infer':
        from .inference import infer

        return infer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
