"""Tensor names of torchvision's MobileNetV2, and those of mmdet's."""

from typing import Iterator, Tuple

BLOCKS = (1, 2, 3, 4, 3, 3, 1)  # in each stage; those of the first do not expand
LAYERS = ('expand_conv', 'depthwise_conv', 'linear_conv')


def _patterns() -> Iterator[Tuple[str, str]]:
    """Yield patterns of torchvision's full names, and mmdet's names.

    The authors' ECA-MobileNetV2 has the same names, and its attention at the end of a block.
    """
    yield from _conv_norm(r'features\.0', 'conv1')
    yield from _conv_norm(r'features\.18', 'conv2')
    places = ((stage, i) for stage, count in enumerate(BLOCKS, start=1) for i in range(count))
    for number, (stage, i) in enumerate(places, start=1):
        theirs, ours = rf'features\.{number}\.conv', f'layer{stage}.{i}'
        *wrapped, linear = LAYERS[1:] if stage == 1 else LAYERS
        for index, layer in enumerate(wrapped):
            yield from _conv_norm(rf'{theirs}\.{index}', f'{ours}.{layer}')
        last = len(wrapped)
        yield rf'{theirs}\.{last}\.(\w+)', rf'{ours}.{linear}.conv.\1'
        yield rf'{theirs}\.{last + 1}\.(\w+)', rf'{ours}.{linear}.bn.\1'
        yield rf'{theirs}\.{last + 2}\.conv\.(\w+)', rf'{ours}.{linear}.eca_layer2d.conv.\1'


def _conv_norm(theirs: str, ours: str) -> Iterator[Tuple[str, str]]:
    yield rf'{theirs}\.0\.(\w+)', rf'{ours}.conv.\1'
    yield rf'{theirs}\.1\.(\w+)', rf'{ours}.bn.\1'


MOBILENET_V2 = tuple(_patterns())
