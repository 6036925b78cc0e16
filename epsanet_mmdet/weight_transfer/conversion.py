"""Converting the checkpoint of a classifier to one of a detector's backbone."""

from pathlib import Path
from typing import Dict, NamedTuple, Optional, Union

from ..checkpoint.compare import Comparison, compare, comparison_table, value_fault
from ..checkpoint.match import compare_without_plugins, is_match
from ..checkpoint.safetensors_files import write_weights
from ..checkpoint.weight_files import read_weights
from ..config.build import backbone_checkpoint, backbone_config, build_without_weights
from ..errors import CheckpointError, ConfigError
from ..version import __version__
from .architecture import explain_mismatch
from .weight_names import to_mmdet_names


class Conversion(NamedTuple):
    """Result of a conversion; as a string, a report to print.

    Attributes:
        out: The file that was written.
        layout: Kind of file that the weights came from.
        comparison: Of the source with the backbone.
        in_use: True if the config takes its weights from ``out``.
    """

    out: str
    layout: str
    comparison: Comparison
    in_use: bool

    def __str__(self) -> str:
        lines = [self.layout, comparison_table(self.comparison), f'Written to {self.out}']
        if not self.comparison.complete:
            lines.append('note: not all tensors matched, so this is not the network as trained')
        if not self.in_use:
            option = f'model.backbone.init_cfg.checkpoint={self.out}'
            lines.append(f'Use it with --cfg-options {option}')
        return '\n'.join(lines)


def convert_weights(
    source: Union[str, Path],
    out: Union[str, Path, None] = None,
    config: Optional[str] = None,
    backbone: Optional[Dict] = None,
) -> Conversion:
    """Write the weights of a classifier as a checkpoint of a backbone, in mmdet's names.

    Tensors that do not match are left out; training initialises them.

    Args:
        source: File or URL, see :func:`~epsanet_mmdet.checkpoint.weight_files.read_weights`.
        out: File to write, as safetensors if its name ends in ``.safetensors``. By default, the
            file that the backbone of the config starts from.
        config: Config of a detector or a pre-training, by path or name. Its backbone is the target.
        backbone: Config of the backbone itself, in place of ``config``.

    Raises:
        CheckpointError: If the source cannot be read, has another architecture or another form
            of an attention layer, or has values that are not finite.
        ConfigError: If there is no such config or backbone, or no file to write to.
    """
    if (config is None) == (backbone is None):
        raise ConfigError('name either a config or a backbone')
    backbone = backbone_config(config) if backbone is None else backbone
    expected = backbone_checkpoint(backbone)
    out = str(out or _expected_file(expected, config))
    if Path(out).resolve() == Path(source).resolve():
        raise ConfigError(f"'{out}' is the source itself; name another file to write to")
    weights = read_weights(source)
    model = build_without_weights(backbone)
    wanted = model.state_dict()
    tensors = to_mmdet_names(weights.tensors, model)
    fault = value_fault(tensors, wanted)
    if fault:
        raise CheckpointError(f"'{source}' {fault}; use a checkpoint from before that")
    comparison = compare(tensors, wanted)
    if not is_match(compare_without_plugins(tensors, model)):
        raise CheckpointError(
            f"'{source}' is of another architecture than the backbone, "
            f'{len(comparison.matched)} of {comparison.wanted} tensors match: '
            f'{explain_mismatch(tensors, wanted)}'
        )
    left_out = {*comparison.missing, *comparison.reshaped}
    converted = {k: tensors.get(k, v) for k, v in wanted.items() if k not in left_out}
    meta = dict(source=Path(source).name, layout=weights.layout, epsanet_mmdet=__version__)
    write_weights(converted, meta, out)
    in_use = bool(expected) and Path(expected).resolve() == Path(out).resolve()
    return Conversion(out, weights.layout, comparison, in_use)


def _expected_file(expected: Optional[str], config: Optional[str]) -> str:
    if not expected or '://' in expected:
        raise ConfigError(
            f"config '{config}' names no file for its backbone's weights (init_cfg.checkpoint); "
            'name the file to write'
        )
    return expected
