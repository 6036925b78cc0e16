"""Checkpoints of deployed detectors."""

from pathlib import Path
from typing import Dict, Union

from mmengine.config import Config
from torch import Tensor, nn

from ..checkpoint import load_untrusted
from ..checkpoint.weight_files import check_checkpoint_path
from ..config.build import build_without_weights
from ..config.load import load_config
from ..errors import CheckpointError
from ..layers.deployed_psa import PlainBranches, split_groups
from ..models.deployed import deploy
from ..utils.storage import save_whole
from ..version import __version__


def save_deployed(detector: nn.Module, path: Union[str, Path]) -> None:
    """Save a deployed detector as a checkpoint for :func:`load_deployed`.

    Raises:
        StorageError: If the file cannot be written.
    """
    meta = dict(deployed=True, epsanet_mmdet=__version__)
    if getattr(detector, 'dataset_meta', None):
        meta['dataset_meta'] = dict(detector.dataset_meta)
    save_whole(dict(meta=meta, state_dict=detector.state_dict()), path)


def load_deployed(config: Union[str, Config], checkpoint: Union[str, Path]) -> nn.Module:
    """Load a deployed detector from its config and its deployed checkpoint.

    Args:
        config: Config of the original detector, or its path or bare name.
        checkpoint: File written by :func:`save_deployed`.

    Raises:
        CheckpointError: If the file is not a checkpoint of this detector in deployed form.
        ConfigError: If the config does not exist.
    """
    config = config if isinstance(config, Config) else load_config(config)
    check_checkpoint_path(checkpoint)
    content = load_untrusted(checkpoint)
    meta = content.get('meta', {}) if isinstance(content, dict) else {}
    if not meta.get('deployed'):
        raise CheckpointError(
            f"checkpoint '{checkpoint}' is not deployed; deploy it with epsanet deploy"
        )
    network = deploy(build_without_weights(config.model).eval())
    state = content['state_dict']
    try:
        _split_merged_groups(network, state)
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[:2][-1].strip()
        raise CheckpointError(f"checkpoint '{checkpoint}' is of another detector: {reason}")
    network.dataset_meta = meta.get('dataset_meta')
    return network


def _split_merged_groups(network: nn.Module, state: Dict[str, Tensor]) -> None:
    """Split the groups in weights of earlier versions, which merged the groups of branches."""
    branches = {n: m.convs for n, m in network.named_modules() if isinstance(m, PlainBranches)}
    for name, convs in branches.items():
        for i, conv in enumerate(convs):
            key = f'{name}.convs.{i}.weight'
            if key in state and state[key].dim() == 4:
                merged = conv.in_channels // max(state[key].shape[1], 1)
                if 0 < merged < conv.groups and conv.groups % merged == 0:
                    state[key] = split_groups(state[key], conv.groups, merged)
