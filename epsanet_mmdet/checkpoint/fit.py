"""Refusing a checkpoint that would leave part of a detector random."""

from torch import nn

from ..errors import CheckpointError
from ..utils.text import listing
from .compare import compare
from .match import compare_without_plugins, is_match, require_match


def class_counts(model: nn.Module) -> set:
    """Return the different numbers of classes of the heads of a detector."""
    return {
        module.num_classes
        for name, module in model.named_modules()
        if hasattr(module, 'num_classes') and not name.endswith('rpn_head')
    }


def require_fit(model: nn.Module, checkpoint: dict) -> None:
    """Raise CheckpointError if a checkpoint would leave part of a model random, such as its head.

    That is normal for fine-tuning, but never for detection. The message names the classes if
    their number differs, otherwise a tensor.
    """
    require_match(model)  # another architecture is refused on loading, with its own message
    given = checkpoint.get('state_dict', checkpoint)
    given = {name.removeprefix('module.'): value for name, value in given.items()}
    found = compare(given, model.state_dict())
    unfilled = found.missing + found.reshaped
    if not unfilled or not is_match(compare_without_plugins(given, model)):
        return
    classes = checkpoint.get('meta', {}).get('dataset_meta', {}).get('classes')
    counts = class_counts(model)
    if classes is not None and counts - {len(classes)}:
        raise CheckpointError(
            f'the config detects {min(counts)} classes, but the checkpoint was trained on '
            f'{listing(classes)}; use the config it was trained with, which lies beside it'
        )
    raise CheckpointError(
        f"the checkpoint leaves {len(unfilled)} of the model's {found.wanted} tensors unfilled, "
        f'such as {unfilled[0]}; use the config it was trained with, which lies beside it'
    )
