"""The AFF authors' Gluon networks, as tensors with the names and signs of ours.

``save_parameters`` joins the attributes of their classes and, in a ``HybridSequential``, the
numbers of its layers (``model/*.py`` of YimianDai/open-aff).
"""

import re
from typing import Dict, Mapping

from torch import Tensor

STAGES = (1, 2, 3, 4)
BODY = {0: 'conv1', 1: 'bn1', 3: 'conv2', 4: 'bn2', 6: 'conv3', 7: 'bn3'}
BRANCH = {0: '0.fc1', 1: '0.norm', 3: '0.fc2', 4: '1'}
# Patterns and replacements, applied one after the other.
NAMES = (
    # ResNeXt is one list of the stem, ReLU, pooling and stages. Its first shortcut has no pooling.
    (r'^features\.10\.0\.downsample\.1\.', 'layer1.0.downsample.2.'),
    (r'^features\.10\.0\.downsample\.0\.', 'layer1.0.downsample.1.'),
    (r'^features\.(\d)\.', r'stem.\1.'),
    *((rf'^features\.{9 + stage}\.', f'layer{stage}.') for stage in STAGES),
    *((rf'\.body\.{index}\.', f'.{ours}.') for index, ours in BODY.items()),
    (r'^output\.', 'fc.'),
    # ResNet
    (r'^conv1\.(\d)\.', r'stem.\1.'),
    (r'^bn1\.', 'stem.7.'),
    # The fusions. Their global branch begins with the pooling.
    *(
        (
            rf'\.attention\.{kind}_att(2?)\.{index + pooling}\.',
            rf'.fusion.weights\1.{kind}_att.{ours}.',
        )
        for kind, pooling in (('local', 0), ('global', 1))
        for index, ours in BRANCH.items()
    ),
    (r'\.gamma$', '.weight'),
    (r'\.beta$', '.bias'),
)
LAST_NORM = re.compile(r'_att\.1\.(weight|bias)$')


def is_open_aff(tensors: Mapping[str, Tensor]) -> bool:
    """Return True if tensors have the names of the AFF authors' networks."""
    return any(re.search(r'\.attention\.local_att\.1\.gamma$', name) for name in tensors)


def from_open_aff(tensors: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Return the tensors of the AFF authors' ResNet or ResNeXt, renamed for ours.

    Their blocks weigh the residual by M and the identity by 1 - M, the paper and ours the other
    way round. M is a sigmoid of sums of normalisations, so it becomes 1 - M if the last
    normalisations change their sign.

    Args:
        tensors: In the names of ``save_parameters``, see :func:`is_open_aff`.
    """
    is_iterative = any('.local_att2.' in name for name in tensors)
    renamed = {}
    for name, value in tensors.items():
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        if is_iterative:
            name = name.replace('.fusion.weights.', '.fusion.weights1.')
        renamed[name] = -value if LAST_NORM.search(name) else value
    return renamed
