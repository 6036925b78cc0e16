"""Order tests on several workers, so that each starts with its share of the slow ones."""

import os
from itertools import islice
from typing import List

import pytest


@pytest.hookimpl(trylast=True)  # after pytest deselects tests and sorts them by fixtures
def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Start slow tests first, so that none runs alone on one core at the end.

    ``--dist worksteal`` gives each worker a contiguous part of the list. A worker starts at the
    beginning of its part; an idle one takes tests from the end of another's.
    """
    workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))
    if workers == 1:
        return
    slow = sorted((item for item in items if _minutes(item)), key=_minutes, reverse=True)
    quick = iter([item for item in items if not _minutes(item)])
    ordered: List[pytest.Item] = []
    for worker in range(workers):
        size = (len(items) - len(ordered)) // (workers - worker)  # as xdist deals
        share = slow[worker::workers]
        ordered += [*share, *islice(quick, max(size - len(share), 0))]
    items[:] = [*ordered, *quick]


def _minutes(item: pytest.Item) -> float:
    mark = item.get_closest_marker('slow')
    return mark.kwargs.get('minutes', 1) if mark else 0
