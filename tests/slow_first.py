"""The order of the tests on several workers: each begins with its share of the slow ones."""

import os
from itertools import islice
from typing import List

import pytest


@pytest.hookimpl(trylast=True)  # after pytest has deselected tests and gathered their fixtures
def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Start slow tests at once, so that none is left to run alone on one core at the end.

    ``--dist worksteal`` deals the list out in contiguous parts, one for each worker, which are run
    from their beginnings; what an idle worker takes from another is the end of its part.
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
