"""Refusing a checkpoint of another architecture, which mmengine would load with a warning."""

from typing import Dict, Mapping, Tuple

from torch import Tensor, nn

from ..errors import CheckpointError
from ..layers import FUSIONS
from .compare import Comparison, compare

MATCH_MINIMUM = 0.75
RESHAPED_MAXIMUM = 0.04  # more classes change fewer shapes, another kernel size in PSA more

# Attributes of modules that list the names of their plugins: mmdet's blocks, `WithPlugins`.
PLUGIN_NAMES = (*(f'after_conv{i}_plugin_names' for i in (1, 2, 3)), 'plugin_names')


def require_match(module: nn.Module) -> None:
    """Make a module refuse to load the ``state_dict`` of another architecture.

    At least three quarters of the tensors of the module, and of the checkpoint, must have a
    counterpart of the same name and shape, and nearly all tensors that share a name must share the
    shape. So heads may differ and plugins, which are not counted, may be added; the backbone may
    not differ.

    Raises:
        CheckpointError: On loading, with the numbers of tensors that match and that do not.
    """
    if not hasattr(module, '_requires_match'):
        module.register_load_state_dict_pre_hook(_refuse_mismatch)
        module._requires_match = True


def _refuse_mismatch(module: nn.Module, state_dict: Dict[str, Tensor], prefix: str, *_) -> None:
    given = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    found = compare_without_plugins(given, module)
    if is_match(found):
        return
    hint = 'load a checkpoint of this architecture'
    if not found.matched and any(name.startswith('backbone.') for name in given):
        hint = "it holds a whole detector: add prefix='backbone.' to init_cfg"
    raise CheckpointError(
        f'the checkpoint is of another architecture than {type(module).__name__}: '
        f'{len(found.matched)} of its {found.given} tensors match the {found.wanted} of the model '
        f'({_sample("missing", found.missing)}, {_sample("unexpected", found.unexpected)}, '
        f'{_sample("of another shape", found.reshaped)}); {hint}'
    )


def compare_without_plugins(given: Mapping[str, Tensor], module: nn.Module) -> Comparison:
    """Compare a ``state_dict`` with a module, without the tensors of plugins and fusions."""
    plugins = _plugin_prefixes(module)
    given, wanted = (
        {name: value for name, value in tensors.items() if not name.startswith(plugins)}
        for tensors in (given, module.state_dict())
    )
    return compare(given, wanted)


def is_match(found: Comparison) -> bool:
    """Return True if a comparison is of the same architecture, see :func:`require_match`."""
    enough = len(found.matched) >= MATCH_MINIMUM * max(found.wanted, found.given)
    return enough and len(found.reshaped) <= RESHAPED_MAXIMUM * found.wanted


def _plugin_prefixes(module: nn.Module) -> Tuple[str, ...]:
    """Return the prefixes of plugins and fusions, which are additions to a network."""
    fusions = (
        f'{name}.'
        for name, part in module.named_modules()
        if isinstance(part, tuple(FUSIONS.values()))
    )
    return tuple(fusions) + tuple(
        f'{name}.{plugin}.'
        for name, block in module.named_modules()
        for names in PLUGIN_NAMES
        for plugin in getattr(block, names, ())
    )


def _sample(what: str, names: list) -> str:
    return f'{len(names)} {what}' + (f' such as {names[0]}' if names else '')
