"""The number of training iterations of a detector that a transplanted backbone saves."""

import json
from functools import partial
from pathlib import Path
from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from shapes_training import train, training_config
from stored import stored

from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.evaluation.plots import COLOURS, STYLE

WINDOW = 20  # iterations that the loss is averaged over


class HeadStart(NamedTuple):
    """Trainings with one seed from a random start and from a transplant.

    Args:
        seed: Of both.
        iterations: Of both.
        final_random: Final loss of the random start, the mean of the last :data:`WINDOW`.
        final_transplant: The same for the transplant.
        reached_random: Iterations after which the mean of the last :data:`WINDOW` losses of the
            random start stays at or below ``final_random``.
        reached: The same for the transplant, or None if it ends above.
    """

    seed: int
    iterations: int
    final_random: float
    final_transplant: float
    reached_random: int
    reached: Optional[int]


def compare_starts(
    checkpoint: str,
    work_dir: str,
    seeds: Sequence[int] = (0, 1, 2),
    iterations: int = 200,
    batch_size: int = 4,
    size: int = 96,
    learning_rate: float = 5e-4,
    progress: Callable[[str], None] = print,
) -> List[HeadStart]:
    """Train Mask R-CNN with EPSANet-50 small on generated shapes, from both starts.

    Both see the same images in the same order. Losses are kept in ``work_dir`` and reused for equal
    settings.

    Args:
        checkpoint: Backbone that epsanet transplant wrote.
        work_dir: Folder for the images, the losses, and their plot, ``losses.svg``.
        seeds: One pair of trainings for each.
        iterations: Of each training; every image is seen once.
        batch_size: Images per iteration.
        size: Height and width of the images, pixels.
        learning_rate: Of AdamW, after a warm-up of 20 iterations.
        progress: Called with a line after every training.
    """
    settings = dict(
        iterations=iterations,
        batch_size=batch_size,
        size=size,
        learning_rate=learning_rate,
        checkpoint=json.loads(Path(checkpoint).with_suffix('.json').read_text()),
    )
    data = Path(work_dir) / 'data'
    write_shapes(str(data), train=iterations * batch_size, val=1, size=size)

    def losses_of(start: str, seed: int) -> List[float]:
        config = training_config(str(data), str(work_dir), seed, batch_size, size, learning_rate)
        if start == 'transplant':
            config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
        return train(config, f'{start}-seed{seed}')[0]

    found, pairs = [], []
    for seed in seeds:
        losses = {}
        for start in ('random', 'transplant'):
            file = Path(work_dir) / f'{start}-seed{seed}.json'
            losses[start] = stored(file, settings, 'losses', partial(losses_of, start, seed))
            progress(f'seed {seed}, {start}: loss {smoothed(losses[start])[-1]:.3f} at the end')
        found.append(head_start(seed, losses['random'], losses['transplant']))
        pairs.append(losses)
    draw_losses(pairs, Path(work_dir) / 'losses.svg')
    return found


def smoothed(losses: Sequence[float]) -> np.ndarray:
    """Return the mean of the last :data:`WINDOW` losses, from iteration :data:`WINDOW` on."""
    window = min(WINDOW, len(losses))
    return np.convolve(losses, np.full(window, 1 / window), 'valid')


def head_start(seed: int, random: Sequence[float], transplant: Sequence[float]) -> HeadStart:
    """Compare the losses of two trainings of equal length."""
    final, ours = smoothed(random)[-1], smoothed(transplant)[-1]
    reached = [below_for_good(losses, final) for losses in (random, transplant)]
    return HeadStart(seed, len(random), float(final), float(ours), *reached)


def below_for_good(losses: Sequence[float], level: float) -> Optional[int]:
    """Return the iterations after which the smoothed loss stays at or below a level.

    The loss of a detector dips early, when its heads have learned that most boxes are background.
    """
    means = smoothed(losses)
    above = np.flatnonzero(means > level)
    steps = above[-1] + 1 if len(above) else 0
    return int(steps) + len(losses) - len(means) + 1 if steps < len(means) else None


def draw_losses(pairs: Sequence[Mapping[str, Sequence[float]]], out_file: Path) -> None:
    """Plot the smoothed losses of both starts, a line for every seed."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.5), layout='constrained')
        axes = figure.subplots()
        for losses in pairs:
            for (start, values), colour in zip(losses.items(), COLOURS):
                means = smoothed(values)
                iterations = range(len(values) - len(means) + 1, len(values) + 1)
                label = start if losses is pairs[0] else None
                axes.plot(iterations, means, color=colour, label=label)
        axes.set(xlabel='iteration', ylabel=f'loss, mean of {WINDOW}', ylim=(0, None))
        axes.legend()
        figure.savefig(out_file, metadata={'Date': None})


def head_start_table(found: Sequence[HeadStart]) -> str:
    """Return the comparison as a Markdown table."""
    lines = [
        '| seed | iterations | final loss, random | final loss, transplant | random there after | '
        'transplant there after |',
        '| --- | --- | --- | --- | --- | --- |',
    ]
    for one in found:
        losses = f'{one.final_random:.3f} | {one.final_transplant:.3f}'
        after = f'{one.reached_random} | {one.reached or "never"}'
        lines.append(f'| {one.seed} | {one.iterations} | {losses} | {after} |')
    return '\n'.join(lines)
