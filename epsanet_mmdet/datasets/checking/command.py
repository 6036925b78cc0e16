"""What ``tools/check_dataset.py`` does."""

import sys
from typing import Optional, Sequence

from .page import write_page
from .repair import require_empty, write_repaired
from .run import check_dataset
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
    say(summary(data, limit))
    if fix:
        changes = list(repairs(data))
        say('\n'.join([f'\nREPAIRS ({len(changes)})', *(f'  {line}' for line in changes)]))
        written = write_repaired(data, fix)
        say('\n'.join(['\nwritten:', *(f'  {line}' for line in written)]))
    if page:
        write_page(data, page)
        say(f'\nthe page is {page}')
    return 1 if data.findings.count('error') else 0


def say(text: str) -> None:
    """Print a text, which may hold file names that the terminal cannot show."""
    encoding = sys.stdout.encoding or 'utf-8'
    print(text.encode(encoding, 'backslashreplace').decode(encoding))
