"""Checking ``--cfg-options``: a key that nothing reads is refused, with the nearest name."""

import functools
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any, Dict, Iterator, NamedTuple, Set, Tuple

import mmdet.registry
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
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
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Reader(NamedTuple):
    """What reads a part of a config.

    Attributes:
        name: For messages.
        keys: Keys that it is known to read.
        complete: Whether it reads no others.
    """

    name: str
    keys: Set[str]
    complete: bool = True


def check_options(config: Config, options: Dict[str, Any]) -> None:
    """Check that something reads the keys of ``--cfg-options``.

    Args:
        config: The config before they are merged.
        options: Values by dotted key.

    Raises:
        ConfigError: Naming the key that nothing reads, and the nearest one that something does.
    """
    for key in options:
        _check_key(config, key, options)


def _check_key(config: Config, key: str, options: Dict[str, Any]) -> None:
    parts, here = key.split('.'), config._cfg_dict
    for i, part in enumerate(parts):
        if isinstance(here, (list, tuple)):
            if not part.isdigit() or int(part) >= len(here):
                return  # merging refuses it
            here = here[int(part)]
        elif not isinstance(here, dict):
            return
        elif part in here:
            here = here[part]
        else:
            reader = find_reader(here, '.'.join(parts[:i]), options, config)
            if part not in EVERYWHERE and not _reads(reader, part, config):
                raise ConfigError(f"option '{printable(key)}': {_advice(reader, part)}")
            here = {}


def _advice(reader: Reader, part: str) -> str:
    return f"{reader.name} has no '{printable(part)}'; {suggestion(part, sorted(reader.keys))}"


def _reads(reader: Reader, part: str, config: Config) -> bool:
    """Return whether a key is read; one of an open set is refused where it is a likely mistake."""
    if part in reader.keys:
        return True
    if reader.complete:
        return False
    imports = (config.get('custom_imports') or {}).get('imports') or ()
    packages = (*PACKAGES, *([imports] if isinstance(imports, str) else imports))
    return not closest(part, reader.keys) or part in _words(packages)


def find_reader(here: Dict, place: str, options: Dict[str, Any], config: Config) -> Reader:
    """Find what reads a dictionary of a config.

    Args:
        here: The dictionary.
        place: Its dotted key.
        options: All options, which may set its type.
        config: The config.
    """
    if not place:
        return Reader('the config', {*config, *_top_level_keys()})
    kind = options.get(f'{place}.type', here.get('type'))
    kinds = DEFAULT_TYPES.get(place, ()) if kind is None else _registered(kind)
    readers = [constructor(one) for one in kinds]
    extra = SECTIONS.get(place, set())
    if not readers:
        typed = {key.rpartition('.')[0] for key in options if key.endswith('.type')}
        added = {key.removeprefix(f'{place}.') for key in typed}  # such as a hook of one's own
        return Reader(f"'{place}'", {*here, *extra, *added}, complete=place in COMPLETE)
    keys = set.union(extra, *(reader.keys for reader in readers))
    return Reader(readers[0].name, keys, all(reader.complete for reader in readers))


def constructor(kind: Any) -> Reader:
    """Return the arguments of a class or function, those passed on to its bases included."""
    keys: Set[str] = set()
    complete = False
    for base in inspect.getmro(kind)[:-1] if inspect.isclass(kind) else (kind,):
        function = vars(base).get('__init__') if inspect.isclass(base) else base
        if function is None or complete:
            continue
        parameters = inspect.signature(function).parameters.values()
        keys |= {p.name for p in parameters if p.kind not in VARIADIC} - {'self'}
        complete = all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters)
        if not complete:  # nor is what it takes out of **kwargs itself among its base's
            source = inspect.getsource(function)
            keys |= set(re.findall(r"kwargs(?:\.\w+\(|\[)'(\w+)'", source))
    # mmcv's builders of layers, and initialisers, take keys of their own out of the dictionary
    layer = kind.__module__.startswith('torch') and 'optim' not in kind.__module__
    own = layer or kind.__module__.startswith(('mmcv.cnn', 'mmcv.ops', 'mmengine.model'))
    return Reader(kind.__name__, keys, complete and not own)


def _registered(kind: Any) -> Iterator[Any]:
    """Find what a ``type`` names in the registries, one or none in most cases."""
    if not isinstance(kind, str):
        yield kind
        return
    name = kind.rpartition('.')[2]
    for registry in _registries():
        registry.import_from_location()
        if name in registry.module_dict:
            yield registry.module_dict[name]


@functools.lru_cache(maxsize=1)
def _registries() -> Tuple[Registry, ...]:
    own = [value for value in vars(mmdet.registry).values() if isinstance(value, Registry)]
    return tuple(dict.fromkeys([*own, *(r.parent for r in own if r.parent is not None)]))


@functools.lru_cache(maxsize=1)
def _top_level_keys() -> Set[str]:
    read = re.findall(r"cfg\.get\(\s*'(\w+)'", inspect.getsource(Runner))
    ours = {'skip_bad_images', 'runner_type', 'tta_model', 'tta_pipeline', 'strategy', 'compile'}
    return {*inspect.signature(Runner).parameters, *read, *ours} - {'cfg'}


@functools.lru_cache(maxsize=4)
def _words(packages: Tuple[str, ...]) -> Set[str]:
    """Collect the words of some packages' sources."""
    words: Set[str] = set()
    for package in packages:
        spec = importlib.util.find_spec(package.partition('.')[0])
        for folder in (spec and spec.submodule_search_locations) or ():
            for path in Path(folder).rglob('*.py'):
                if '.mim' not in path.parts:
                    words.update(re.findall(r'\w+', path.read_text(errors='replace')))
    return words


def _arguments(*functions) -> Set[str]:
    return set().union(*(inspect.signature(function).parameters for function in functions))


_LOADER = {
    *_arguments(DataLoader),
    *('sampler', 'batch_sampler', 'dataset', 'collate_fn', 'worker_init_fn', 'num_batch_per_epoch'),
}
# What builds a part that has no type.
DEFAULT_TYPES = {
    'train_cfg': (EpochBasedTrainLoop, IterBasedTrainLoop),
    'val_cfg': (ValLoop,),
    'test_cfg': (TestLoop,),
    'optim_wrapper': (OptimWrapper, AmpOptimWrapper),  # the second by --amp
    'log_processor': (LogProcessor,),
    'visualizer': (Visualizer,),
}
# What mmengine reads in a part beside the arguments of its type.
SECTIONS = {
    'train_dataloader': _LOADER,
    'val_dataloader': _LOADER,
    'test_dataloader': _LOADER,
    'train_cfg': {'by_epoch'},
    'optim_wrapper': {'constructor', 'paramwise_cfg', *_arguments(AmpOptimWrapper)},
    'optim_wrapper.clip_grad': _arguments(clip_grad_norm_, clip_grad_value_) - {'parameters'},
    'optim_wrapper.paramwise_cfg': {
        *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult'),
        *('dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'),
    },
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'randomness': _arguments(set_random_seed),
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'env_cfg.mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'default_hooks': {
        *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
    },
}
COMPLETE = {*SECTIONS} - {'optim_wrapper.paramwise_cfg'}  # which constructors of one's own read too
