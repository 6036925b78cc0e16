"""The choices of a new config that are the user's."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Optional, Sequence

from ...errors import ArgumentError, ExtraError

AUGMENTATIONS = ('colour', 'scale-jitter', 'mosaic', 'copy-paste')
TRACKERS = ('tensorboard', 'wandb', 'mlflow')  # names of the packages


@dataclass(frozen=True)
class Switches:
    """Choices that the data do not decide; by default, the config has none of them.

    Args:
        augment: Any of :data:`AUGMENTATIONS`; images are always flipped.
        balance_classes: Whether to show images with rare classes more often.
        ema: Whether to average the weights.
        early_stopping: Number of validations without a better box AP after which training ends.
        accumulate: Number of batches in a step of the optimizer.
        amp: Whether to train with mixed precision.
        log: Any of :data:`TRACKERS`; files in the work folder are always written.
    """

    augment: Sequence[str] = ()
    balance_classes: bool = False
    ema: bool = False
    early_stopping: Optional[int] = None
    accumulate: int = 1
    amp: bool = False
    log: Sequence[str] = ()

    def __post_init__(self) -> None:
        for option, chosen, known in (
            ('--augment', self.augment, AUGMENTATIONS),
            ('--log', self.log, TRACKERS),
        ):
            for name in chosen:
                if name not in known:
                    raise ArgumentError(f"{option} '{name}' is none of {', '.join(known)}")
        for option, number in (
            ('--early-stopping', self.early_stopping),
            ('--accumulate', self.accumulate),
        ):
            if number is not None and number < 1:
                raise ArgumentError(f'{option} {number} is too small; it must be at least 1')
        if {'mosaic', 'copy-paste'} <= set(self.augment):
            raise ArgumentError('--augment cannot mix images in two ways; use mosaic or copy-paste')

    def check(self, model: str, masks: bool, gpu: bool) -> None:
        """Check that model and machine allow the choices.

        Args:
            model: Name of the model.
            masks: Whether it trains on masks.
            gpu: Whether the machine has a GPU.

        Raises:
            ArgumentError: Naming the option and the remedy.
            ExtraError: Naming the package to install.
        """
        if 'copy-paste' in self.augment and not masks:
            raise ArgumentError(
                f"--augment copy-paste cuts objects out by their masks, and '{model}' uses boxes "
                'only; use mosaic, or a mask-rcnn model with data that have masks'
            )
        if self.amp and not gpu:
            raise ArgumentError('--amp needs a GPU, and none was found; omit it')
        for package in self.log:
            if find_spec(package) is None:
                raise ExtraError(
                    f'--log {package} needs {package}, which is not installed; '
                    f'run: pip install {package}'
                )
