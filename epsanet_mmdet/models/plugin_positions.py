"""Where mmdet's ResNet takes plugin layers."""

from typing import Optional, Sequence

from ..errors import ArgumentError

POSITIONS = ('after_conv1', 'after_conv2', 'after_conv3')


def check_positions(plugins: Optional[Sequence[dict]]) -> None:
    """Raise a ValueError on an unknown position, where mmdet only asserts."""
    for plugin in plugins or ():
        if plugin.get('position') not in POSITIONS:
            options = ', '.join(map(repr, POSITIONS))
            raise ArgumentError(
                f'There is no plugin position={plugin.get("position")!r}; choose one of {options}'
            )
