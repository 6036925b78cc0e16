"""Tensor names of other implementations, and those of mmdet's backbones with our plugins."""

import re
from typing import Dict, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CheckpointError
from .mobilenet_names import MOBILENET_V2
from .open_aff import from_open_aff, is_open_aff

# Patterns of their full names, and ours. Attention is at the end of a block, as in the detection
# configs, and BAM after stages. Layers are distinguished by name, since SE and FcaNet have the same
# shapes but compute different things.
BLOCK = r'(layer\d+\.\d+\.)'
SDA_BLOCK = r'stage(\d)\.layers\.(\d+)\.'
NAMES = (
    # timm; Cadene's pretrained-models
    (BLOCK + r'(?:se|se_module)\.fc([12])\.(weight|bias)', r'\1se_layer2d.se.fc\2.\3'),
    # moskomule's senet.pytorch and its derivatives
    (BLOCK + r'se\.fc\.0\.weight', r'\1se_layer2d.se.fc1.weight'),
    (BLOCK + r'se\.fc\.2\.weight', r'\1se_layer2d.se.fc2.weight'),
    # the authors' FcaNet
    (BLOCK + r'att\.fc\.0\.weight', r'\1fca_layer2d.mlp.fc1.weight'),
    (BLOCK + r'att\.fc\.2\.weight', r'\1fca_layer2d.mlp.fc2.weight'),
    # the authors' ECANet; timm
    (BLOCK + r'(?:eca|se)\.conv\.weight', r'\1eca_layer2d.conv.weight'),
    # the authors' SDA networks
    (SDA_BLOCK + r'fc([12])\.(weight|bias)', r'layer\1.\2.se_layer2d.se.fc\3.\4'),
    (SDA_BLOCK + r'(.+)', r'layer\1.\2.\3'),
    (r'stage(\d)\.(fcs?\..+)', r'layer\1.sda.\2'),
    # Cadene's stem
    (r'layer0\.((?:conv|bn)1\.\w+)', r'\1'),
    *MOBILENET_V2,
)
# The authors' CBAM and BAM, whose code differs from their papers.
NAMES_AS_CODED = (
    (BLOCK + r'cbam\.ChannelGate\.mlp\.1\.(\w+)', r'\1cbam2d.channel.mlp.fc1.\2'),
    (BLOCK + r'cbam\.ChannelGate\.mlp\.3\.(\w+)', r'\1cbam2d.channel.mlp.fc2.\2'),
    (BLOCK + r'cbam\.SpatialGate\.spatial\.conv\.(\w+)', r'\1cbam2d.spatial.conv.\2'),
    (BLOCK + r'cbam\.SpatialGate\.spatial\.bn\.(\w+)', r'\1cbam2d.spatial.norm.\2'),
    *(
        (rf'bam(\d)\.{theirs}\.(\w+)', rf'layer\1.bam2d.{ours}.\2')
        for theirs, ours in (
            (r'channel_att\.gate_c\.gate_c_fc_0', 'channel.fc1'),
            (r'channel_att\.gate_c\.gate_c_bn_1', 'channel.norm'),
            (r'channel_att\.gate_c\.gate_c_fc_final', 'channel.fc2'),
            (r'spatial_att\.gate_s\.gate_s_conv_reduce0', 'spatial.0'),
            (r'spatial_att\.gate_s\.gate_s_bn_reduce0', 'spatial.1'),
            (r'spatial_att\.gate_s\.gate_s_conv_di_0', 'spatial.3'),
            (r'spatial_att\.gate_s\.gate_s_bn_di_0', 'spatial.4'),
            (r'spatial_att\.gate_s\.gate_s_conv_di_1', 'spatial.6'),
            (r'spatial_att\.gate_s\.gate_s_bn_di_1', 'spatial.7'),
            (r'spatial_att\.gate_s\.gate_s_conv_final', 'spatial.9'),
        )
    ),
)
HEAD = re.compile(r'(fc|head|classifier|last_linear|bn2)\.')  # SDA networks normalise before fc
CONSTANT = re.compile(r'.*\.dct_layer\.weight')  # FcaNet's basis, which ours computes


def to_mmdet_names(tensors: Mapping[str, Tensor], model: nn.Module) -> Dict[str, Tensor]:
    """Rename and reshape the tensors of a classifier for a backbone, without the head.

    torchvision's and timm's ResNet and the EPSANet authors' code use mmdet's names, except for
    attention layers. The AFF authors' Gluon networks are renamed by :mod:`.open_aff`. Linear layers
    become 1x1 convolutions, and ECA kernels are zero-padded where ours are longer; neither changes
    the function.

    Args:
        tensors: By their original names.
        model: The backbone.

    Raises:
        CheckpointError: If the weights are of the authors' CBAM or BAM, but the layers of the
            backbone follow the paper.
    """
    wanted = model.state_dict()
    if is_open_aff(tensors):
        tensors = from_open_aff(tensors)
    renamed = {}
    for name, value in tensors.items():
        if name not in wanted and (HEAD.match(name) or CONSTANT.fullmatch(name)):
            continue
        if name not in wanted:
            name = _our_name(name, model, wanted)
        renamed[name] = _fitted(value, wanted.get(name))
    return renamed


def _our_name(name: str, model: nn.Module, wanted: Mapping[str, Tensor]) -> str:
    for pattern, replacement in (*NAMES, *NAMES_AS_CODED):
        found = re.fullmatch(pattern, name)
        ours = found and found.expand(replacement)
        if ours in wanted:
            if (pattern, replacement) in NAMES_AS_CODED:
                _require_as_coded(name, model.get_submodule(re.match(r'.*bam2d', ours).group()))
            return ours
    return name


def _require_as_coded(name: str, layer: nn.Module) -> None:
    if not layer.as_coded:
        kind = type(layer).__name__
        raise CheckpointError(
            f"{name} is of the authors' code of {kind}, which differs from their paper; set "
            f"as_coded=True in the config of the backbone's {kind}"
        )


def _fitted(value: Tensor, wanted: Tensor) -> Tensor:
    if wanted is None or value.shape == wanted.shape:
        return value
    if value.ndim == 2 and wanted.shape == (*value.shape, 1, 1):
        return value[:, :, None, None]
    longer = wanted.size(-1) - value.size(-1) if value.ndim == wanted.ndim == 3 else 0
    if longer > 0 and longer % 2 == 0 and value.shape[:2] == wanted.shape[:2] == (1, 1):
        return F.pad(value, (longer // 2, longer // 2))
    return value
