"""Plugin layers and replaced convolutions in any model of mmdet, such as CSPNeXt or FPN."""

from typing import Any, Optional, Sequence

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.registry import MODELS as LAYERS
from torch import Tensor, nn

from ..errors import ArgumentError
from .places import Place, find_places, require_places
from .plugins import add_plugin, replaced_conv, with_norm_cfg

KEYS = {'cfg', 'position', 'stages', 'block'}


@MODELS.register_module(name='WithPlugins')
def with_plugins(base: str, plugins: Sequence[dict], **kwargs: Any) -> nn.Module:
    """Build a backbone, neck or head of mmdet, and add layers to it.

    The model is an instance of its own class, and its parameters keep their names, so its
    checkpoints load. A layer is a child of the module that it follows:
    ``stage1.1.blocks.0.conv2.eca_layer2d``. Like the model, it is frozen, saved and exported.

    Args:
        base: Type of the model, such as ``'CSPNeXt'``.
        plugins: The layers, in the form of mmdet's ``plugins``. Each is a dictionary of

            - ``cfg`` (dict): Config of the layer.
            - ``position`` (str): ``'after_NAME'``, or ``'instead_of_NAME'`` for a layer that
              replaces a convolution larger than 1x1, such as ``PSAConv2d``. NAME is the attribute
              that holds the convolution or a list of them: ``'after_conv2'``,
              ``'after_fpn_convs'``. A layer follows the norm and the activation of the convolution.
            - ``block`` (str, optional): Class of the module with this attribute, needed if there
              are several.
            - ``stages`` (tuple[bool], optional): A flag for each stage. In models without stages,
              it is one for each convolution in the list, or for each module that contains
              some. All by default.
        **kwargs: Options of the model.

    Raises:
        ArgumentError: If there is no such position, or a layer does not fit.
    """
    model = MODELS.build(dict(type=base, **kwargs))
    # All places are found first, since layers may contain convolutions.
    chosen = [(plugin, _find(model, base, plugin)) for plugin in plugins]
    replaced = {}
    for plugin, places in chosen:
        for place in places:
            try:
                if place.verb == 'after':
                    _append(place.module, plugin['cfg'])
                else:
                    _replace(place, plugin['cfg'], replaced)
            except (TypeError, ValueError) as error:
                raise ArgumentError(f'{base}.{place.path}: {error}') from error
    model.train()  # stages are frozen again, with their layers
    return model


def _find(model: nn.Module, base: str, plugin: dict) -> list[Place]:
    if not {'cfg', 'position'} <= set(plugin) <= KEYS:
        raise ArgumentError(
            f'WithPlugins needs cfg and position for each plugin, and accepts stages and block, '
            f'but got {plugin}'
        )
    kind = plugin['cfg'].get('type')
    if isinstance(kind, str) and MODELS.get(kind) is None and LAYERS.get(kind) is None:
        raise ArgumentError(
            f'WithPlugins finds no layer of type={kind!r}; correct it, or import its module with '
            'custom_imports'
        )
    return require_places(
        find_places(model), base, plugin['position'], plugin.get('block'), plugin.get('stages')
    )


def _append(module: nn.Module, cfg: dict) -> None:
    """Add a layer to the end of a module that convolves."""
    last = module if isinstance(module, ConvModule) else module.pointwise_conv
    if last.norm_cfg is not None:
        cfg = with_norm_cfg(cfg, last.norm_cfg)
    name = add_plugin(module, cfg, last.out_channels)
    if not hasattr(module, 'plugin_names'):
        module.plugin_names = []
        module.register_forward_hook(_apply_plugins)
    module.plugin_names.append(name)


def _apply_plugins(module: nn.Module, inputs: tuple, output: Tensor) -> Optional[Tensor]:
    for name in module.plugin_names:
        output = getattr(module, name)(output)
    return output


def _replace(place: Place, cfg: dict, replaced: dict[nn.Module, nn.Module]) -> None:
    """Replace a convolution; one that several modules share stays shared."""
    owner, name = place.conv
    conv = owner.get_submodule(name)
    if conv in replaced.values():
        raise ArgumentError('another plugin has replaced it already; keep one of the two')
    if conv not in replaced:
        replaced[conv] = replaced_conv(conv, cfg)
    setattr(owner, name, replaced[conv])
