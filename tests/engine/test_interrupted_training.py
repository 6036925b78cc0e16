"""tools/train.py under Ctrl-C, and with a checkpoint that is none, as a user meets them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from kill_training import write_config

from epsanet_mmdet.checkpoint import restricted_load

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return write_config(tmp_path_factory.mktemp('config'), workers=1)


def start(config: Path, work_dir: Path, *arguments) -> subprocess.Popen:
    """Start a training in a process group of its own, as a shell does."""
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


def test_a_checkpoint_that_is_none_ends_in_one_line(config, tmp_path):
    path = tmp_path / 'odd.pth'
    torch.save(dict(meta=dict(epoch=1, iter='many'), state_dict={}, message_hub={}), path)
    process = start(config, tmp_path / 'run', '--resume', path)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    assert 'Traceback' not in output
    assert output.splitlines()[-1].startswith(f"error: '{path}' cannot be resumed: ")
