"""Names of other ResNet implementations' tensors, in mmdet's ResNet with our plugins."""

import re
from typing import Dict, Mapping

import torch.nn.functional as F
from torch import Tensor

# Attention at the end of a block, where the detection configs have it too. The kinds are told
# apart, since SE and FcaNet have the same shapes and compute different things.
ATTENTION = (
    # timm; Cadene's pretrained-models
    (r'(?:se|se_module)\.fc([12])\.(weight|bias)', r'se_layer2d.se.fc\1.\2'),
    # moskomule's senet.pytorch and those that follow it
    (r'se\.fc\.0\.weight', 'se_layer2d.se.fc1.weight'),
    (r'se\.fc\.2\.weight', 'se_layer2d.se.fc2.weight'),
    # the authors' FcaNet
    (r'att\.fc\.0\.weight', 'fca_layer2d.mlp.fc1.weight'),
    (r'att\.fc\.2\.weight', 'fca_layer2d.mlp.fc2.weight'),
    # the authors' ECANet; timm
    (r'(?:eca|se)\.conv\.weight', 'eca_layer2d.conv.weight'),
)
HEAD = re.compile(r'(fc|head|classifier|last_linear)\.')
CONSTANT = re.compile(r'.*\.dct_layer\.weight')  # FcaNet's basis, which ours computes


def to_mmdet_names(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> Dict[str, Tensor]:
    """Rename and reshape a classifier's tensors for a backbone; the head is left out.

    torchvision's and timm's ResNet, and the EPSANet authors' code, have mmdet's names; attention
    layers differ. Linear layers become 1x1 convolutions, and ECA's kernels are padded with zeros
    where ours are longer; both change nothing in what is computed.

    Args:
        tensors: Weights by their own names.
        wanted: The backbone's ``state_dict``.
    """
    renamed = {}
    for name, value in tensors.items():
        if name not in wanted and (HEAD.match(name) or CONSTANT.fullmatch(name)):
            continue
        ours = name if name in wanted else _attention_name(name)
        name = ours if ours in wanted else name
        renamed[name] = _fitted(value, wanted.get(name))
    return renamed


def _attention_name(name: str) -> str:
    block = re.match(r'layer\d+\.\d+\.', name)
    if block:
        for pattern, replacement in ATTENTION:
            found = re.fullmatch(pattern, name[block.end() :])
            if found:
                return block.group() + found.expand(replacement)
    return name


def _fitted(value: Tensor, wanted: Tensor) -> Tensor:
    if wanted is None or value.shape == wanted.shape:
        return value
    if value.ndim == 2 and wanted.shape == (*value.shape, 1, 1):
        return value[:, :, None, None]
    longer = wanted.size(-1) - value.size(-1) if value.ndim == wanted.ndim == 3 else 0
    if longer > 0 and longer % 2 == 0 and value.shape[:2] == wanted.shape[:2] == (1, 1):
        return F.pad(value, (longer // 2, longer // 2))
    return value
