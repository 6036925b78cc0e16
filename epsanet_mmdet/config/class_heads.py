"""The heads of a model that predict classes."""

from typing import Dict, Sequence

from mmdet.datasets import CocoDataset

from ..errors import ConfigError


def find_class_heads(model: Dict, name: str = 'model') -> Dict[str, int]:
    """Return ``num_classes`` of every head in a model's config, by the head's dotted name."""
    heads = {}
    items = model.items() if isinstance(model, dict) else enumerate(model)
    for key, value in items:
        if key == 'num_classes' and not name.endswith('rpn_head'):  # it has one
            heads[name] = value
        elif isinstance(value, (dict, list, tuple)):
            heads.update(find_class_heads(value, f'{name}.{key}'))
    return heads


def check_class_heads(model: Dict, dataset: Dict) -> None:
    """Check that the heads of a model have as many classes as a data set.

    Args:
        model: Config of the model.
        dataset: Config of the data set.

    Raises:
        ConfigError: If a head has another number of classes.
    """
    classes: Sequence[str] = (dataset.get('metainfo') or {}).get('classes')
    classes = CocoDataset.METAINFO['classes'] if classes is None else classes
    if isinstance(classes, str):
        raise ConfigError(
            f"the config's classes are the text '{classes}'; set metainfo.classes to a tuple such "
            f"as ('{classes}',)"
        )
    for name, count in find_class_heads(model).items():
        if count != len(classes):
            shown = ', '.join(classes[:10]) + (', ...' if len(classes) > 10 else '')
            raise ConfigError(
                f'{name}.num_classes is {count}, but the data set has {len(classes)} classes '
                f'({shown}); set it to {len(classes)}, or metainfo.classes of the data set'
            )
