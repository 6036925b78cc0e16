"""EPSANet, and the attention and fusion modules it is compared with, for MMDetection.

Importing this package registers its modules in mmdet's registries; configs import it with
``custom_imports = dict(imports=['epsanet_mmdet'])``. ``epsanet_mmdet.layers`` needs only torch.
"""

import io
import warnings
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING

from . import moved  # noqa: F401
from .utils.environment import INSTALL_HINT, check_stack
from .version import __version__

if TYPE_CHECKING:
    from .inference import infer

__all__ = ['__version__', 'infer']

if check_stack():
    # Raised by mmengine at every start; users of this package cannot fix it.
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    with redirect_stdout(io.StringIO()):  # OneDL's mmdet prints that it lacks an optional package
        import mmdet.datasets  # noqa: F401
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
    """Import :func:`epsanet_mmdet.inference.infer` on first use."""
    if name == 'infer':
        from .inference import infer

        return infer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
