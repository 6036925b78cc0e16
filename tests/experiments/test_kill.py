"""A plan that is killed at ten random moments ends with what an undisturbed run measures."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

import pytest
from tiny_plan import TOOL, reproduce, write_plan

KILLS = 10


def table(work_dir: Path) -> List[Dict[str, str]]:
    """Read the table but for its times."""
    with open(work_dir / 'table.csv', encoding='utf-8') as file:
        return [{k: v for k, v in row.items() if k != 'seconds'} for row in csv.DictReader(file)]


def detections(work_dir: Path) -> Dict[str, bytes]:
    """Read what the tests of all jobs wrote, scores in full precision."""
    paths = sorted(work_dir.glob('*/seed*/test/results.*.json'))
    return {str(path.relative_to(work_dir)): path.read_bytes() for path in paths}


@pytest.mark.slow(minutes=9)
def test_killing_a_plan_changes_nothing(tmp_path):
    plan = write_plan(
        tmp_path / 'plan',
        training=dict(epochs=12, batch_size=2, image_scale=[96, 72], workers=0, val_interval=12),
    )
    began = time.monotonic()
    undisturbed = tmp_path / 'undisturbed'
    done = reproduce(plan, undisturbed)
    duration = time.monotonic() - began
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(detections(undisturbed)) == 4

    rng, kills, folders = random.Random(0), 0, [tmp_path / 'killed 0']
    while kills < KILLS:
        process = subprocess.Popen(
            [sys.executable, str(TOOL), str(plan), '--work-dir', str(folders[-1])],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.wait(rng.uniform(0, duration)) == 0
            folders.append(tmp_path / f'killed {len(folders)}')  # it was done: kill another
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    done = reproduce(plan, folders[-1])
    assert done.returncode == 0, done.stderr[-2000:]
    for folder in folders:
        assert table(folder) == table(undisturbed)
        assert detections(folder) == detections(undisturbed)
