"""How matrix products are cut into tiles."""

from typing import NamedTuple


class ConvTile(NamedTuple):
    """Tile of a blocked convolution.

    Attributes:
        blocks: Blocks of pixels, the rows of the product.
        depth: Values of the window that are multiplied at a time.
        warps: Warps of a program.
        stages: Stages of the pipeline that loads values ahead.
    """

    blocks: int
    depth: int
    warps: int = 4
    stages: int = 3


class PointwiseTile(NamedTuple):
    """Tile of a 1x1 convolution.

    Attributes:
        pixels: Pixels, the rows of the product.
        outputs: Output channels, the columns.
        depth: Input channels that are multiplied at a time.
        warps: Warps of a program.
        stages: Stages of the pipeline that loads values ahead.
    """

    pixels: int
    outputs: int
    depth: int
    warps: int = 4
    stages: int = 3
