"""The optimizer of a new config, its precision and its learning rate."""

from typing import Any, Dict, List, NamedTuple

from .switches import Switches

BASE_BATCH = 16  # images that the learning rates of the shipped configs are meant for
SCRATCH_RATE = 5e-5  # of AdamW, for each image in a step


class Optimization(NamedTuple):
    """The ``optim_wrapper`` of a config, and what its comments say."""

    notes: List[str]
    wrapper: Dict[str, Any]


def make_optimizer(switches: Switches, batch: int, scratch: bool, rate: float) -> Optimization:
    """Choose the optimizer and its learning rate.

    Args:
        switches: The user's choices.
        batch: Images in a batch.
        scratch: Whether everything starts from random weights.
        rate: Learning rate of the shipped config.
    """
    images = batch * switches.accumulate
    notes = []
    wrapper: Dict[str, Any] = {}
    if switches.amp:
        notes.append(
            'Mixed precision: convolutions and matrix products in float16, which needs less time '
            'and memory on GPUs; the loss is scaled so that gradients do not vanish'
        )
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    if switches.accumulate > 1:
        notes.append(
            f'Gradient accumulation: the optimizer takes a step after {switches.accumulate} '
            f'batches, which are {images} images'
        )
        wrapper['accumulative_counts'] = switches.accumulate
    if scratch:
        what = 'batch size' if switches.accumulate == 1 else 'images in a step'
        notes.append(f'Learning rate: {SCRATCH_RATE} times the {what}, {images}')
        wrapper = (
            dict(
                _delete_=True,
                type='OptimWrapper',
                optimizer=dict(type='AdamW', lr=SCRATCH_RATE * images, weight_decay=0.05),
                paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
                clip_grad=dict(max_norm=10),
            )
            | wrapper
        )
    else:
        notes.append(
            f'Learning rate: {rate} in the shipped config is for {BASE_BATCH} images per '
            f'{"batch" if switches.accumulate == 1 else "step"}; here it is scaled to {images}'
        )
        wrapper = (
            dict(optimizer=dict(lr=rate * images / BASE_BATCH), clip_grad=dict(max_norm=35))
            | wrapper
        )
    return Optimization(notes, wrapper)
