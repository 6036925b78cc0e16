"""Browsing the data of a config from the command line: what is read, printed and written."""

import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import cv2
from mmengine.registry import DefaultScope
from mmengine.utils import ProgressBar

from ...config.load import load_config
from ...errors import ArgumentError
from ...utils.storage import check_file_writable, write_whole
from .page import draw_picture, render_page
from .samples import Sample, build_dataset, draw_samples
from .sheet import draw_cell, render_sheet

PAGES, PICTURES = ('.html',), ('.png', '.jpg', '.jpeg')


def browse(
    config: str,
    out: str = 'browse.html',
    split: str = 'train',
    samples: int = 16,
    repeats: int = 1,
    seed: int = 0,
    options: Optional[Dict[str, Any]] = None,
) -> int:
    """Write a page or a picture of images and annotations as the pipeline of a config returns them.

    These are the images before the model normalises them and pads them to a batch.

    Args:
        config: Path of a config, or bare name of a shipped one.
        out: ``.html``, ``.png`` or ``.jpg`` file to write.
        split: ``'train'``, ``'val'`` or ``'test'``.
        samples: Number of images.
        repeats: Number of augmentations of each image, shown side by side.
        seed: Seed of the choice of images and of their augmentations.
        options: Values by dotted key, as for ``--cfg-options``.

    Returns:
        The number of images, which is smaller than ``samples`` if the data set is.

    Raises:
        ArgumentError: If a number is out of range, or ``out`` has another extension.
        ConfigError: If the config has no such data set or its pipeline returns no boxes.
        DataError: If the data set cannot be read.
        StorageError: If ``out`` cannot be written.
    """
    kind = Path(out).suffix.lower()
    if kind not in PAGES + PICTURES:
        raise ArgumentError(f"--out '{out}' is neither a page (.html) nor a picture (.png, .jpg)")
    if min(samples, repeats) < 1 or seed < 0:
        raise ArgumentError(
            'samples and repeats must be at least 1 and the seed at least 0, but got '
            f'samples={samples}, repeats={repeats}, seed={seed}'
        )
    loaded = load_config(config, options)
    check_file_writable(out)
    draw, render = (draw_picture, render_page) if kind in PAGES else (draw_cell, render_sheet)
    with DefaultScope.overwrite_default_scope(loaded.get('default_scope', 'mmdet')):
        print(f'reading the data set of {split}_dataloader', file=sys.stderr)
        dataset = build_dataset(loaded, split)
        count = min(samples, len(dataset))
        rows = draw_samples(dataset, count, repeats, seed)
        groups = [[draw(sample) for sample in row] for row in _with_progress(rows, count)]
    title = f'{split} images of {Path(config).stem}'
    facts = f'{count} of {len(dataset)} images, seed {seed}'
    facts += f', {repeats} augmentations of each' if repeats > 1 else ''
    content = render(groups, title, facts)
    write_whole(content if kind in PAGES else cv2.imencode(kind, content)[1].tobytes(), out)
    return count


def _with_progress(rows: Iterator[List[Sample]], count: int) -> Iterator[List[Sample]]:
    bar = ProgressBar(count, file=sys.stderr)
    try:
        for row in rows:
            yield row
            bar.update()
    finally:
        print(file=sys.stderr)
