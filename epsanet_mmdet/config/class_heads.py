"""The heads of a model that have an output for every class."""

from typing import Dict, Sequence

from mmdet.datasets import CocoDataset

from ..errors import ConfigError


def find_class_heads(model: Dict, name: str = 'model') -> Dict[str, int]:
    """Find ``num_classes`` in a model's config, by the name of the head that has it."""
    heads = {}
    items = model.items() if isinstance(model, dict) else enumerate(model)
    for key, value in items:
        if key == 'num_classes' and not name.endswith('rpn_head'):  # that tells objects apart only
            heads[name] = value
        elif isinstance(value, (dict, list, tuple)):
            heads.update(find_class_heads(value, f'{name}.{key}'))
    return heads


def check_class_heads(model: Dict, dataset: Dict) -> None:
    """Check that all heads of a model have as many classes as a data set, both as configs.

    Raises:
        ConfigError: Naming the head and the classes.
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
