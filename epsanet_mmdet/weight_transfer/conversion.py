"""Turning a classifier's checkpoint into one of a detector's backbone."""

from pathlib import Path
from typing import Dict, NamedTuple, Optional, Union

from torch import Tensor, nn

from ..checkpoint.compare import Comparison, compare
from ..checkpoint.match import require_match
from ..checkpoint.safetensors_files import write_weights
from ..checkpoint.weight_files import read_weights
from ..config.build import backbone_config, build_without_weights
from ..errors import CheckpointError, ConfigError
from ..version import __version__
from .architecture import explain_mismatch
from .weight_names import to_mmdet_names


class Conversion(NamedTuple):
    """What came of a conversion.

    Attributes:
        out: The file that was written.
        layout: What kind of file the weights came from.
        comparison: What of them fitted.
        in_use: Whether the config takes its weights from this file.
    """

    out: str
    layout: str
    comparison: Comparison
    in_use: bool


def convert_weights(
    source: Union[str, Path],
    out: Union[str, Path, None] = None,
    config: Optional[str] = None,
    backbone: Optional[Dict] = None,
) -> Conversion:
    """Write a classifier's weights as a checkpoint of a backbone, in mmdet's names.

    What does not match is left out, so that a training initialises it.

    Args:
        source: File or URL, see :func:`read_weights`.
        out: File to write, as safetensors if its name ends so; by default the one that the
            config's backbone starts from.
        config: Config whose backbone it is for, of a detector or a pre-training, by path or name.
        backbone: The backbone's own config, in place of ``config``.

    Raises:
        CheckpointError: If the source cannot be read, is of another architecture or of another form
            of an attention layer, or has numbers that are not finite.
        ConfigError: If there is no such config or backbone, or no file to write to.
    """
    if (config is None) == (backbone is None):
        raise ConfigError('give either a config or a backbone')
    backbone = dict(backbone_config(config) if backbone is None else backbone)
    expected = (backbone.pop('init_cfg', None) or {}).get('checkpoint')
    out = str(out or _expected_file(expected, config))
    if Path(out).resolve() == Path(source).resolve():
        raise ConfigError(f"'{out}' is the source itself; give another file to write to")
    weights = read_weights(source)
    model = build_without_weights(backbone)
    tensors = to_mmdet_names(weights.tensors, model)
    comparison = load_matching(model, tensors, source)
    meta = dict(source=Path(source).name, layout=weights.layout, epsanet_mmdet=__version__)
    write_weights(_loaded(model, comparison), meta, out)
    in_use = bool(expected) and Path(expected).resolve() == Path(out).resolve()
    return Conversion(out, weights.layout, comparison, in_use)


def load_matching(
    model: nn.Module, tensors: Dict[str, Tensor], source: Union[str, Path]
) -> Comparison:
    """Load what fits of a checkpoint in mmdet's names, if it is of the model's architecture.

    Raises:
        CheckpointError: If it is not, saying why, or if a number is not finite.
    """
    wanted = model.state_dict()
    comparison = compare(tensors, wanted)
    for name in comparison.matched:
        if wanted[name].is_floating_point() > tensors[name].is_floating_point():
            raise CheckpointError(
                f"'{source}' has integers in {name}, as quantised weights do; give the weights "
                'before quantisation'
            )
        if not tensors[name].isfinite().all():
            raise CheckpointError(
                f"'{source}' has numbers in {name} that are not finite; its training diverged, "
                'take an earlier checkpoint'
            )
    require_match(model)
    try:
        model.load_state_dict(tensors, strict=False)
    except CheckpointError:
        total = len(comparison.matched) + len(comparison.missing) + len(comparison.reshaped)
        raise CheckpointError(
            f"'{source}' is of another architecture than the backbone, "
            f'{len(comparison.matched)} of {total} tensors match: '
            f'{explain_mismatch(tensors, wanted)}'
        ) from None
    except RuntimeError:  # wrong shapes, which the comparison tells; torch has loaded the others
        if not comparison.reshaped:
            raise
    return comparison


def _expected_file(expected: Optional[str], config: Optional[str]) -> str:
    if not expected or '://' in expected:
        raise ConfigError(
            f"config '{config}' takes its backbone's weights from no file (init_cfg.checkpoint); "
            'give the file to write'
        )
    return expected


def _loaded(model: nn.Module, comparison: Comparison) -> Dict[str, Tensor]:
    left_out = {*comparison.missing, *comparison.reshaped}
    return {name: value for name, value in model.state_dict().items() if name not in left_out}
