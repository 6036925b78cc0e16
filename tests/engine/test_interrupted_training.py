"""tools/train.py survives Ctrl-C and kills at any moment, and resumes to the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kill_training import write_config

from epsanet_mmdet.checkpoint import restricted_load

ROOT = Path(__file__).parents[2]
KILLS = 8  # docs/reliability.md reports on 30


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return write_config(tmp_path_factory.mktemp('config'), workers=1)


def start(config: Path, work_dir: Path, *arguments) -> subprocess.Popen:
    """Start a training in its own process group, as a shell does."""
    command = [sys.executable, ROOT / 'tools' / 'train.py', config, '--work-dir', work_dir]
    return subprocess.Popen(
        list(map(str, [*command, *arguments])),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
    )


def wait_for(path: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 200
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, f'no {path}'
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_saves_and_resuming_continues(config, tmp_path):
    process = start(config, tmp_path, '--cfg-options', 'train_cfg.max_epochs=200')
    wait_for(tmp_path / 'last_checkpoint', process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert 'Traceback' not in output
    assert 'Ctrl-C: saved epoch' in output
    saved = tmp_path / 'interrupted.pth'
    assert (tmp_path / 'last_checkpoint').read_text() == str(saved)
    epochs = restricted_load(str(saved))['meta']['epoch'] + 1
    process = start(config, tmp_path, '--resume', '--cfg-options', f'train_cfg.max_epochs={epochs}')
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert not saved.exists()


@pytest.mark.slow
def test_a_training_killed_at_any_moment_ends_with_the_weights_of_an_undisturbed_one():
    # In its own process, since forks of this one would inherit the threads of other tests.
    result = subprocess.run(
        [sys.executable, str(ROOT / 'tests' / 'kill_training.py'), '--kills', str(KILLS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr[-3000:] + result.stdout[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found['kills'] == KILLS and found['equal_to_the_bit'] == found['trainings']
    assert found['hits']['with_a_partial_file'] >= KILLS // 4
    assert found['sigterm_status'] == 75
