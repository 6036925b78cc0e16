"""Checking a data set from the command line: what is printed and written."""

from typing import Iterable, Iterator, List, Optional, Sequence, Tuple

from ..utils.text import counted, one_line
from .formats.split import Split
from .lint import CheckedData, check_dataset
from .lint.sets import class_counts, mask_count, size_histogram
from .page import write_page
from .repair import require_empty, write_repaired

BAR = 40  # characters
CLASSES = 20  # shown at most


def run_check(
    paths: Sequence[str],
    images: Optional[str] = None,
    fix: Optional[str] = None,
    page: Optional[str] = None,
    limit: int = 10,
) -> int:
    """Check a data set, print the findings, and write a repaired copy and a page if asked to.

    Args:
        paths: Folders of a data set, COCO JSON files, or a YOLO ``data.yaml``.
        images: Folder of the images of COCO annotations; None to search for it.
        fix: New folder for a repaired copy of the annotations.
        page: HTML file to write.
        limit: Most findings to list of each kind; 0 lists all.

    Returns:
        The exit status: 0, or 1 if there are errors.

    Raises:
        DataError: If a path does not exist or holds no data set, or ``fix`` is not empty.
    """
    if fix:
        require_empty(fix)
    data = check_dataset(paths, images)
    print(summary(data, limit))
    if fix:
        repairs = [
            f'{finding.place}: {finding.code}: {finding.repair}'
            for finding in data.findings.all
            if finding.repair
        ]
        _print_list(f'REPAIRS ({len(repairs)})', repairs)
        _print_list('written:', write_repaired(data, fix))
    if page:
        write_page(data, page)
        print(f'\nthe page is {page}')
    return 1 if data.findings.count('error') else 0


def summary(data: CheckedData, limit: int = 10) -> str:
    """Return the result as text, with a line for each finding.

    Args:
        data: The checked data set.
        limit: Most findings to list of each kind; 0 lists all.
    """
    lines = [line for split in data.splits for line in _describe(split)]
    for level in ('error', 'warning'):
        groups = data.findings.of(level)
        lines += ['', f'{level.upper()}S'] if groups else []
        for code, found in groups.items():
            shown = found[:limit] if limit else found
            lines.append(f'  {code} ({len(found)})')
            lines += [f'    {finding.place}: {finding.message}' for finding in shown]
            if len(shown) < len(found):
                lines.append(f'    ... and {len(found) - len(shown)} more (--limit 0 lists all)')
    errors, warnings = (data.findings.count(level) for level in ('error', 'warning'))
    lines += ['', f'{counted(errors, "error")}, {counted(warnings, "warning")}']
    return '\n'.join(map(one_line, lines))


def _describe(split: Split) -> Iterator[str]:
    masks, objects = mask_count(split), len(split.annotations)
    kind = 'masks' if objects and masks == objects else 'boxes'
    counts = sorted(class_counts(split).items(), key=lambda item: -item[1])
    yield (
        f'{split.name} ({split.format}, {split.source}): {len(split.images)} usable images, '
        f'{objects} objects with {kind}, {len(counts)} classes'
    )
    yield '  objects of each class:'
    yield from _bars(counts[:CLASSES])
    if len(counts) > CLASSES:
        yield f'    ... and {len(counts) - CLASSES} classes with fewer'
    yield '  objects by the square root of their area in pixels:'
    yield from _bars(size_histogram(split))


def _bars(counts: Sequence[Tuple[str, int]]) -> List[str]:
    most = max([count for _, count in counts], default=0) or 1
    return [
        f'    {str(name)[:24]:24} {count:7}  {"#" * round(BAR * count / most)}'.rstrip()
        for name, count in counts
    ]


def _print_list(title: str, lines: Iterable[str]) -> None:
    print('\n'.join(['', title, *(f'  {one_line(line)}' for line in lines)]))
