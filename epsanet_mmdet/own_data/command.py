"""What ``tools/check_dataset.py`` does."""

from typing import Optional, Sequence

from ..utils.text import one_line
from .lint.run import check_dataset
from .page import write_page
from .repair import require_empty, write_repaired
from .summary import repairs, summary


def run_check(
    paths: Sequence[str],
    images: Optional[str] = None,
    fix: Optional[str] = None,
    page: Optional[str] = None,
    limit: int = 10,
) -> int:
    """Check a data set, print what is found, and write what is asked for.

    Args:
        paths: Folders of a data set, COCO JSON files, or YOLO's ``data.yaml``.
        images: Folder of the images of COCO annotations; None to look for it.
        fix: New folder for a repaired copy of the annotations.
        page: HTML file to write.
        limit: Findings of a kind that are listed; 0 for all.

    Returns:
        The process's status: 0, or 1 if there are errors.

    Raises:
        DataError: If a path does not exist or holds no data set, or ``fix`` is not empty.
    """
    if fix:
        require_empty(fix)
    data = check_dataset(paths, images)
    print(summary(data, limit))
    if fix:
        changes = list(repairs(data))
        _list(f'REPAIRS ({len(changes)})', changes)
        _list('written:', write_repaired(data, fix))
    if page:
        write_page(data, page)
        print(f'\nthe page is {page}')
    return 1 if data.findings.count('error') else 0


def _list(title: str, lines: Sequence[str]) -> None:
    print('\n'.join(['', title, *(f'  {one_line(line)}' for line in lines)]))
