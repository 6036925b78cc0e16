"""Refuse ``--cfg-options`` that nothing reads, and suggest the nearest name."""

import functools
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

import mmdet.registry
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    LogProcessor,
    Runner,
    TestLoop,
    ValLoop,
    set_random_seed,
)
from mmengine.visualization import Visualizer
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from ..errors import ConfigError
from ..utils.text import closest, printable, suggestion

PACKAGES = ('epsanet_mmdet', 'mmdet', 'mmengine', 'mmcv')  # whose sources read configs
EVERYWHERE = {'type', '_scope_', '_delete_'}

LOADER = (
    *(DataLoader, 'sampler', 'batch_sampler', 'dataset', 'collate_fn', 'worker_init_fn'),
    'num_batch_per_epoch',
)
# What mmengine reads at some places of a config: the arguments of what it builds there if the
# config names no type, and the keys that it reads besides.
READERS: Dict[str, Tuple] = {
    '': (
        *(key for key in inspect.signature(Runner).parameters if key != 'cfg'),
        *('activation_checkpointing', 'compile', 'efficient_conv_bn_eval', 'sync_bn'),
        *('find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'strategy'),
        *('tta_model', 'tta_pipeline', 'skip_bad_images', 'data_root'),
    ),
    'train_dataloader': LOADER,
    'val_dataloader': LOADER,
    'test_dataloader': LOADER,
    'train_cfg': (EpochBasedTrainLoop, IterBasedTrainLoop, 'by_epoch'),
    'val_cfg': (ValLoop,),
    'test_cfg': (TestLoop,),
    'optim_wrapper': (
        *(OptimWrapper, 'constructor', 'paramwise_cfg'),
        *('loss_scale', 'dtype', 'use_fsdp'),  # of AmpOptimWrapper, which --amp sets
    ),
    'optim_wrapper.clip_grad': (clip_grad_norm_, clip_grad_value_),
    'optim_wrapper.paramwise_cfg': (
        *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult'),
        *('dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'),
    ),
    'log_processor': (LogProcessor,),
    'visualizer': (Visualizer,),
    'auto_scale_lr': ('enable', 'base_batch_size'),
    'randomness': (set_random_seed,),
    'env_cfg': ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    'env_cfg.mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'default_hooks': (
        *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'),
    ),
}
OPEN = ('optim_wrapper.paramwise_cfg',)  # custom constructors read other keys


def check_options(config: Config, options: Dict[str, Any]) -> None:
    """Check that the keys of ``--cfg-options`` are read.

    Args:
        config: The config before they are merged.
        options: Values by dotted key.

    Raises:
        ConfigError: If nothing reads a key; it suggests the nearest one, or those that the config
            computed from it.
    """
    for key in options:
        here, parts = config._cfg_dict, key.split('.')
        if parts[0] in here and not _is_read(config, parts[0]):
            places = _named(config, key)
            raise ConfigError(
                f"option '{printable(key)}': the config has already computed other values from it; "
                f'change {places or "it in the file"} instead'
            )
        for i, part in enumerate(parts):
            if _is_list(here) and part.isdigit() and int(part) < len(here):
                here = here[int(part)]
            elif not isinstance(here, dict):
                break  # merging refuses it
            elif part in here:
                here = here[part]
            else:
                reader, known, complete = _find_reader(here, '.'.join(parts[:i]), part, options)
                # where other keys may be read too, only what looks like a misspelling is refused
                if part not in known | EVERYWHERE and (
                    complete or (closest(part, known) and part not in _words(config))
                ):
                    places = _named(config, key) if i == 0 else ''
                    hint = f'change {places} instead' if places else suggestion(part, sorted(known))
                    raise ConfigError(
                        f"option '{printable(key)}': {reader} has no '{printable(part)}'; {hint}"
                    )
                here = {}


def _is_read(config: Config, variable: str) -> bool:
    """Return True if mmengine, or a module of the config's own, reads a variable of a config."""
    return variable in READERS[''] or variable in _words(config, ())


def _named(config: Config, key: str) -> str:
    """Return the places of an option's first name in what mmengine reads, to be shown."""
    name, *rest = key.split('.')
    places = [(place, value) for place, value in config.items() if _is_read(config, place)]
    found = []
    while places:
        place, here = places.pop(0)
        if place.endswith(f'.{name}'):
            found.append('.'.join([place, *rest]))
        if _is_list(here):
            here = dict(enumerate(here))
        if isinstance(here, dict):
            places += [(f'{place}.{inner}', value) for inner, value in here.items()]
    return ', '.join(found[:3]) + (', ...' if len(found) > 3 else '')


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _find_reader(
    here: Dict, place: str, part: str, options: Dict[str, Any]
) -> Tuple[str, Set[str], bool]:
    """Find what reads a dictionary of a config, at a dotted place, that lacks a part.

    Returns:
        Its name, the keys that it is known to read, and whether it reads no others.
    """
    expected = READERS.get(place, ())
    keys = {*here, *(key for key in expected if isinstance(key, str))} - EVERYWHERE
    if place.startswith(('default_hooks.', 'custom_hooks.')):
        keys.add('priority')  # which mmengine takes out before it builds the hook
    classes = _find_classes(options.get(f'{place}.type', here.get('type')))
    if classes:
        arguments = [_arguments(one) for one in classes]
        keys.update(*(names for names, _ in arguments))
        return classes[0].__name__, keys, all(complete for _, complete in arguments)
    keys.update(*(_arguments(one)[0] for one in expected if callable(one)))
    if f'{place}.{part}.type' in options:  # a new part, such as a custom hook
        keys.add(part)
    return f"'{place}'" if place else 'the config', keys, bool(expected) and place not in OPEN


def _find_classes(kind: Any) -> List[Any]:
    """Return what a ``type`` names in the registries, in most cases a single class."""
    if not isinstance(kind, str):
        return [] if kind is None else [kind]
    name = kind.rpartition('.')[2]
    found = []
    for registry in vars(mmdet.registry).values():
        if isinstance(registry, Registry):
            registry.import_from_location()
            found.append(registry.module_dict.get(name))
    return [one for one in dict.fromkeys(found) if one is not None]


def _arguments(kind: Any) -> Tuple[Set[str], bool]:
    """Return the arguments of a class or function, and whether there are no others.

    Those of a base class count if the class passes ``**kwargs`` on.
    """
    keys: Set[str] = set()
    complete = False
    for base in inspect.getmro(kind)[:-1] if inspect.isclass(kind) else (kind,):
        function = vars(base).get('__init__') if inspect.isclass(base) else base
        if function is None or complete:
            continue
        parameters = inspect.signature(function).parameters.values()
        keys.update(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        complete = all(p.kind is not p.VAR_KEYWORD for p in parameters)
        if not complete:  # it may take keys out of **kwargs itself
            source = inspect.getsource(function)
            keys.update(re.findall(r"kwargs(?:\.\w+\(|\[)'(\w+)'", source))
    # mmcv's builders of layers, and initialisers, take other keys out of the dictionary
    layer = kind.__module__.startswith('torch') and 'optim' not in kind.__module__
    built = layer or kind.__module__.startswith(('mmcv.cnn', 'mmcv.ops', 'mmengine.model'))
    return keys - {'self'}, complete and not built


def _words(config: Config, packages: Tuple[str, ...] = PACKAGES) -> Set[str]:
    """Return the words in the sources of packages and of the config's ``custom_imports``."""
    imports = (config.get('custom_imports') or {}).get('imports') or ()
    imports = [imports] if isinstance(imports, str) else imports
    own = [package for package in imports if package.partition('.')[0] not in PACKAGES]
    return set().union(*(_words_of(package.partition('.')[0]) for package in (*packages, *own)))


@functools.lru_cache
def _words_of(package: str) -> Set[str]:
    spec = importlib.util.find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    paths = [path for folder in folders for path in Path(folder).rglob('*.py')]
    if spec and not folders:  # a single module
        paths = [Path(spec.origin or '')]
    return {
        word
        for path in paths
        if path.suffix == '.py' and '.mim' not in path.parts
        for word in re.findall(r'\w+', path.read_text(errors='replace'))
    }
