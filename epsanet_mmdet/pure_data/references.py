"""What a config of pure data may still refer to: registered types, and no pickles.

mmengine takes ``type='package.module.function'`` as a name to import, and reads ``.pkl`` and
``.yaml`` files in ways that run code; mmcv evaluates the type of ``nms`` as Python.
"""

from typing import Any, Iterator, List, Set, Tuple

import mmcv.ops
import mmengine.registry
from mmengine.config import Config
from mmengine.registry import Registry

PACKAGES = ('epsanet_mmdet', 'mmdet', 'mmengine', 'mmcv')
TYPE_KEYS = ('type', 'constructor')
SCOPE_KEYS = ('default_scope', '_scope_')
EVALUATING = ('CameraMotionCompensation', 'RFSearchHook')  # their arguments are run as Python
RUNNING_FILES = ('.pkl', '.pickle', '.yaml', '.yml')


def refused_imports(custom_imports: Any) -> List[str]:
    """Give the modules of ``custom_imports`` that are not of the installed packages."""
    if not custom_imports:
        return []
    names = custom_imports.get('imports') if isinstance(custom_imports, dict) else None
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, (list, tuple)):
        return [str(custom_imports)]
    return [str(name) for name in names if not _is_own_module(name)]


def refused_references(config: Config) -> Iterator[Tuple[str, str]]:
    """Find what would run code when a training is built of a config.

    Args:
        config: A config, whose ``custom_imports`` have been imported.

    Yields:
        The place in the config, such as ``model.backbone.type``, and what is wrong with it.
    """
    known = registered_names()
    waiting: List[Tuple[str, Any]] = [('', config._cfg_dict.to_dict())]
    while waiting:
        place, value = waiting.pop()
        key = place.rpartition('.')[2]
        if isinstance(value, dict):
            waiting += [(f'{place}.{name}' if place else str(name), v) for name, v in value.items()]
        elif isinstance(value, (list, tuple, set)):
            waiting += [(f'{place}.{i}', item) for i, item in enumerate(value)]
        elif key in TYPE_KEYS and not _is_registered(value, known):
            yield place, f'{value!r} is not the name of a registered class'
        elif key in SCOPE_KEYS and value is not None and value not in PACKAGES:
            yield place, f'{value!r} is not an installed package of models'
        elif isinstance(value, str) and value.lower().endswith(RUNNING_FILES):
            yield place, f'{value!r} is a kind of file that runs code when it is read'


def registered_names() -> Set[str]:
    """Collect the names in all registries of mmengine and the packages that add to them."""
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    names: Set[str] = set(mmcv.ops.__all__)  # mmdet looks up RoIAlign and nms there
    waiting = [value for value in vars(mmengine.registry).values() if isinstance(value, Registry)]
    while waiting:
        registry = waiting.pop()
        registry.import_from_location()
        names.update(registry.module_dict)
        waiting += registry.children.values()
    return names - set(EVALUATING)


def _is_own_module(name: Any) -> bool:
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split('.')):
        return False
    return name.split('.')[0] in PACKAGES


def _is_registered(name: Any, known: Set[str]) -> bool:
    if not isinstance(name, str):
        return name is None or isinstance(name, (bool, int, float))
    scope, _, rest = name.rpartition('.')
    return rest in known and (not scope or scope in PACKAGES)
