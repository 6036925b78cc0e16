"""The pipelines of a new config: how images are resized, changed and mixed."""

from typing import Dict, List, NamedTuple, Optional, Sequence

from ...config.python_text import Name

SCALE, SIDE = Name('scale'), Name('max(scale)')
JITTER = (0.5, 1.5)
MOSAICS = 0.5  # share of the training images
GREY = 114
NOTES = {
    'colour': (
        'Colour: brightness, contrast, saturation and hue change at random, as in SSD. Omit it '
        'where colours distinguish the classes'
    ),
    'scale-jitter': (
        f'Scale jitter: images become {JITTER[0]:g} to {JITTER[1]:g} times as large, and what '
        'exceeds the image scale is cropped at random'
    ),
    'mosaic': (
        'Mosaic: half of the images are made of four, around a random point. Small objects and '
        'few images profit; the other half stays as it will be in use'
    ),
    'copy-paste': (
        'Copy-paste: objects of another image are pasted into each, cut out by their masks '
        '(https://arxiv.org/abs/2012.07177)'
    ),
}


class Pipelines(NamedTuple):
    """Transforms of the training images.

    Args:
        load: Those of each image, where several are mixed; otherwise None.
        train: All others.
        notes: What they do, for the comments of the config.
    """

    load: Optional[List[Dict]]
    train: List[Dict]
    notes: List[str]


def make_pipelines(augment: Sequence[str], masks: bool) -> Pipelines:
    """Return the pipelines with some of :data:`.switches.AUGMENTATIONS`."""
    load = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=masks),
        *_resized('scale-jitter' in augment, masks),
        dict(type='RandomFlip', prob=0.5),
    ]
    mix = []
    if 'mosaic' in augment:
        mix = [dict(type='InstanceMosaic', size=SIDE, prob=MOSAICS), _without_empty(masks)]
    elif 'copy-paste' in augment:  # needs images of one size
        load.append(dict(type='Pad', size=Name('(max(scale), max(scale))'), pad_val=_grey()))
        mix = [dict(type='ByteCopyPaste')]
    last = [dict(type='PhotoMetricDistortion')] if 'colour' in augment else []
    last.append(dict(type='PackDetInputs'))
    notes = [note for name, note in NOTES.items() if name in augment]
    return Pipelines(load, mix + last, notes) if mix else Pipelines(None, load + last, notes)


def _resized(jitter: bool, masks: bool) -> List[Dict]:
    if not jitter:
        return [dict(type='Resize', scale=SCALE, keep_ratio=True)]
    return [
        dict(type='RandomResize', scale=SCALE, ratio_range=JITTER, keep_ratio=True),
        dict(
            type='RandomCrop',
            crop_size=Name('(max(scale), max(scale))'),
            recompute_bbox=masks,
            allow_negative_crop=True,
        ),
        _without_empty(masks),
    ]


def _without_empty(masks: bool) -> Dict:
    """Return the transform that drops objects of which nothing is left."""
    return dict(type='FilterAnnotations', by_mask=masks, keep_empty=False)


def _grey() -> Dict:
    return dict(img=(GREY, GREY, GREY))
