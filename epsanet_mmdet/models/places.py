"""Where plugin layers can go in a model, and the choice of such places by configuration."""

import re
from typing import NamedTuple, Optional, Sequence

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from torch import nn

from ..errors import ArgumentError

CONTAINERS = (nn.ModuleList, nn.Sequential)
# A layer cannot follow a bare convolution or norm: conversions replace those and would lose it.
FOLLOWED = (ConvModule, DepthwiseSeparableConvModule)
VERBS = ('after', 'instead_of')


class Place(NamedTuple):
    """A convolution of a model that a layer can follow or replace.

    Attributes:
        path: Its name in the model, such as ``'stage1.1.blocks.0.conv2'``.
        module: The module with this name.
        parent: The module that holds it.
        block: Class of the nearest module around it that is no container.
        position: ``'after_conv2'`` or ``'instead_of_conv2'``.
        stage: The stage, ``'stage1'``; without stages, the path up to its first number.
    """

    path: str
    module: nn.Module
    parent: nn.Module
    block: str
    position: str
    stage: Optional[str]

    @property
    def verb(self) -> str:
        """``'after'`` or ``'instead_of'``."""
        return 'after' if self.position.startswith('after_') else 'instead_of'

    @property
    def conv(self) -> tuple[nn.Module, str]:
        """The module that holds the convolution itself, and its name there."""
        if isinstance(self.module, ConvModule):
            return self.module, 'conv'
        return self.parent, self.path.rpartition('.')[2]


class Places(NamedTuple):
    """All places of a model, and its stages, if it has any."""

    places: list[Place]
    stages: list[str]


def find_places(model: nn.Module) -> Places:
    """Return the places of a model in the order of definition.

    Its stages are its children of the names ``layer1``, ``stage1`` and so on.
    """
    stages = [name for name, _ in model.named_children() if re.fullmatch(r'(layer|stage)\d+', name)]
    places, seen = [], set()
    modules = dict(model.named_modules(remove_duplicate=False))
    for path, module in modules.items():
        parent = modules[path.rpartition('.')[0]] if path else None
        if parent is None or isinstance(parent, ConvModule):
            continue
        if isinstance(module, FOLLOWED) and module in seen:  # several names of one module
            continue
        seen.add(module)
        names = path.split('.')
        name = next((n for n in reversed(names) if not n.isdigit()), None)
        stage = _stage(names, stages)
        for verb in VERBS:
            if name and _is_place(module, verb):
                block = type(_block(modules, names)).__name__
                places.append(Place(path, module, parent, block, f'{verb}_{name}', stage))
    return Places(places, stages)


def _is_place(module: nn.Module, verb: str) -> bool:
    if verb == 'after':
        return isinstance(module, FOLLOWED)
    conv = module.conv if isinstance(module, ConvModule) else module
    return type(conv) is nn.Conv2d and conv.kernel_size != (1, 1)


def _block(modules: dict[str, nn.Module], names: Sequence[str]) -> nn.Module:
    around = (modules['.'.join(names[:i])] for i in range(len(names) - 1, -1, -1))
    return next(module for module in around if not isinstance(module, CONTAINERS))


def _stage(names: Sequence[str], stages: Sequence[str]) -> Optional[str]:
    if stages:
        return names[0] if names[0] in stages else None
    first = next((i for i, name in enumerate(names) if name.isdigit()), len(names) - 1)
    return '.'.join(names[: first + 1])


def require_places(
    found: Places,
    model: str,
    position: str,
    block: Optional[str] = None,
    flags: Optional[Sequence[bool]] = None,
) -> list[Place]:
    """Return the chosen places of a model.

    Args:
        found: All of its places.
        model: Its name for messages.
        position: ``'after_NAME'`` or ``'instead_of_NAME'``.
        block: Class of the blocks; may be omitted if it is only one.
        flags: A flag for each stage; None means all places, also those outside of stages.

    Raises:
        ArgumentError: If there is no such place, the choice is ambiguous, or the flags do not
            match the stages.
    """
    named = [place for place in found.places if place.position == position]
    chosen = [place for place in named if block in (None, place.block)]
    if not chosen:
        where = f"position='{position}'" + (f" in block='{block}'" if block else '')
        raise ArgumentError(f'{model} has no {where}; choose {_options(found.places, position)}')
    blocks = list(dict.fromkeys(place.block for place in chosen))
    if len(blocks) > 1:
        raise ArgumentError(
            f"{model} has position='{position}' in several blocks; add block="
            + ' or block='.join(map(repr, blocks))
        )
    if flags is None:
        return chosen
    stages = found.stages or list(dict.fromkeys(place.stage for place in chosen))
    if len(flags) != len(stages):
        raise ArgumentError(
            f"{model} with position='{position}' needs a flag for each of {', '.join(stages)}, "
            f'but got stages={tuple(flags)}'
        )
    for stage, flag in zip(stages, flags):
        if flag and all(place.stage != stage for place in chosen):
            have = ', '.join(dict.fromkeys(str(place.stage) for place in chosen))
            raise ArgumentError(
                f"{model} has no position='{position}' in {stage}, only in {have}; correct stages"
            )
    wanted = {stage for stage, flag in zip(stages, flags) if flag}
    return [place for place in chosen if place.stage in wanted]


def _options(places: Sequence[Place], position: str) -> str:
    """Return the positions with their blocks, only those that begin alike if there are any."""
    alike = [place for place in places if position.startswith(f'{place.verb}_')]
    blocks: dict[str, dict[str, None]] = {}
    for place in alike or places:
        blocks.setdefault(place.position, {})[place.block] = None
    if not blocks:
        return 'another model, since its convolutions are of no known kind'
    return ', '.join(f'{position} ({", ".join(names)})' for position, names in blocks.items())
