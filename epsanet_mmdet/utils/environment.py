"""The installed packages, which importing this package checks, and the processor."""

import platform
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Callable, Dict, Optional

from packaging.version import Version

from ..version import __version__

TORCH_MINIMUM = Version('2.6')

# Distributions: (name, lowest version, first unsupported version).
UPSTREAM = (
    ('mmengine', '0.10.4', '1.0'),
    ('mmcv', '2.0.0', '2.2.0'),
    ('mmdet', '3.3.0', '3.4.0'),
)
ONEDL = (
    ('onedl-mmengine', '0.10.8', '1.0'),
    ('onedl-mmcv', '2.3.0', '3.0'),
    ('onedl-mmdetection', '3.4.0', '4.0'),
)
INSTALL_HINT = "see 'Install' in the README, or run: pip install 'epsanet_mmdet[upstream]'"


def check_stack(version_of: Optional[Callable[[str], Optional[str]]] = None) -> bool:
    """Check that the installed torch and mm* packages work together and with this package.

    Args:
        version_of: Returns the installed version of a distribution, or None. Defaults to the
            current environment's.

    Returns:
        True if the mm* packages are installed. False if none is; then only ``layers`` works.

    Raises:
        ImportError: If only some are installed, if a version is unsupported, or if mmcv was built
            without its operators.
    """
    version_of = version_of or installed_version
    torch = version_of('torch')
    if torch is None or Version(torch) < TORCH_MINIMUM:
        raise ImportError(
            f'epsanet_mmdet needs torch>={TORCH_MINIMUM}, but {_found("torch", torch)}; '
            f"run: pip install 'torch>={TORCH_MINIMUM}'"
        )
    upstream = {dist: version_of(dist) for dist, _, _ in UPSTREAM}
    onedl = {dist: version_of(dist) for dist, _, _ in ONEDL}
    if any(upstream.values()) and any(onedl.values()):
        names = ', '.join(name for name, v in {**upstream, **onedl}.items() if v)
        raise ImportError(
            f'{names} are installed together although they contain the same files; '
            'uninstall all of them and install one stack: ' + INSTALL_HINT
        )
    stack, versions = (ONEDL, onedl) if any(onedl.values()) else (UPSTREAM, upstream)
    if not any(versions.values()):
        return False
    for dist, lowest, too_new in stack:
        version = versions[dist]
        if version is None or not Version(lowest) <= Version(version) < Version(too_new):
            raise ImportError(
                f'epsanet_mmdet needs {dist}>={lowest},<{too_new}, but '
                f"{_found(dist, version)}; run: pip install '{dist}>={lowest},<{too_new}'"
                + (' (mmcv builds from source: see the README)' if 'mmcv' in dist else '')
            )
    if util.find_spec('mmcv._ext') is None:
        mmcv = stack[1][0]
        raise ImportError(
            'mmcv was built without its operators, which happens where pip cannot see torch; run: '
            f'MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps --no-build-isolation '
            f'--no-cache-dir {mmcv}=={versions[mmcv]}'
        )
    return True


def _found(dist: str, version: Optional[str]) -> str:
    return f'{dist} {version} is installed' if version else f'{dist} is not installed'


def installed_version(dist: str) -> Optional[str]:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(dist)
    except metadata.PackageNotFoundError:
        return None


def versions() -> Dict[str, str]:
    """Return the versions of this package, torch and the mm* packages by import name."""
    modules = map(import_module, ('torch', 'mmengine', 'mmcv', 'mmdet'))
    return {'epsanet_mmdet': __version__, **{m.__name__: m.__version__ for m in modules}}


def processor() -> str:
    """Return the name of the processor, or its architecture if the name is unknown."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    models = (line.partition(':')[2].strip() for line in lines if line.startswith('model name'))
    return next(models, platform.processor() or platform.machine())
