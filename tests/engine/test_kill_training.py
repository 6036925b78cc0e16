"""A training that is killed at any moment goes on with --resume, and ends as if undisturbed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 8  # docs/reliability.md tells of 30


@pytest.mark.slow
def test_kills_change_nothing():
    # In a process of its own: forks of this one would take over the threads of other tests.
    script = Path(__file__).parents[1] / 'kill_training.py'
    result = subprocess.run(
        [sys.executable, str(script), '--kills', str(KILLS)],
        capture_output=True,
        text=True,
        cwd=script.parents[1],
    )
    assert result.returncode == 0, result.stderr[-3000:] + result.stdout[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found['kills'] == KILLS and found['equal_to_the_bit'] == found['trainings']
    assert found['hits']['with_a_partial_file'] >= KILLS // 4
    assert found['sigterm_status'] == 75
