"""The check's result on the terminal."""

from typing import Iterator, List

from ..datasets.split import Split
from ..utils.text import one_line
from .lint.run import CheckedData
from .lint.sets import class_counts, mask_count, size_histogram

BAR = 40  # characters
CLASSES = 20  # shown at most


def summary(data: CheckedData, limit: int = 10) -> str:
    """Return what was found, a line for each finding.

    Args:
        data: The checked data set.
        limit: Findings of a kind that are listed; 0 for all.
    """
    lines: List[str] = []
    for split in data.splits:
        lines += _describe(split)
    for level in ('error', 'warning'):
        lines += _listing(data, level, limit)
    errors, warnings = (data.findings.count(level) for level in ('error', 'warning'))
    lines += ['', f'{errors} errors, {warnings} warnings']
    return '\n'.join(map(one_line, lines))


def repairs(data: CheckedData) -> Iterator[str]:
    """Yield what a repaired copy changes, a line for each finding."""
    for finding in data.findings.all:
        if finding.repair:
            yield f'{finding.place}: {finding.code}: {finding.repair}'


def _describe(split: Split) -> List[str]:
    masks, objects = mask_count(split), len(split.annotations)
    kind = 'masks' if objects and masks == objects else 'boxes'
    counts = sorted(class_counts(split).items(), key=lambda item: -item[1])
    lines = [
        f'{split.name} ({split.format}, {split.source}): {len(split.images)} usable images, '
        f'{objects} objects with {kind}, {len(counts)} classes',
        '  objects of each class:',
        *_bars(counts[:CLASSES]),
    ]
    if len(counts) > CLASSES:
        lines.append(f'    ... and {len(counts) - CLASSES} classes with fewer')
    return [
        *lines,
        '  objects by the square root of their area in pixels:',
        *_bars(size_histogram(split)),
    ]


def _bars(counts) -> List[str]:
    most = max([count for _, count in counts], default=0) or 1
    return [
        f'    {str(name)[:24]:24} {count:7}  {"#" * round(BAR * count / most)}'.rstrip()
        for name, count in counts
    ]


def _listing(data: CheckedData, level: str, limit: int) -> List[str]:
    groups = data.findings.of(level)
    lines = ['', f'{level.upper()}S'] if groups else []
    for code, found in groups.items():
        lines.append(f'  {code} ({len(found)})')
        shown = found[:limit] if limit else found
        lines += [f'    {finding.place}: {finding.message}' for finding in shown]
        if len(shown) < len(found):
            lines.append(f'    ... and {len(found) - len(shown)} more (--limit 0 lists all)')
    return lines
