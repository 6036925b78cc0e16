"""Two processes on CPUs (gloo) compute what one process computes, and survive restarts."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import ddp_gradients
import psutil
import pytest
import torch
from tiny_detector import tiny_detector, write_data  # noqa: F401

from epsanet_mmdet.engine.dist import CONNECTING, join, join_cpu_processes
from epsanet_mmdet.errors import ConfigError

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools'
TORCHRUN = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
QUICK = [
    'train_dataloader.dataset.pipeline.2.scale=(96,64)',
    'model.train_cfg.rcnn.sampler.num=16',
    'model.train_cfg.rpn_proposal.nms_pre=100',
    'model.train_cfg.rpn_proposal.max_per_img=20',
    'train_dataloader.batch_size=1',
    'val_evaluator.metric=bbox',
]
# Even random weights hit some objects then.
MANY_BOXES = [
    'model.test_cfg.rcnn.score_thr=0',
    'model.test_cfg.rcnn.max_per_img=300',
    'model.test_cfg.rpn.max_per_img=1000',
]


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


def run(*command, **environment):
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=500,
        env=with_this_python(environment),
    )


def with_this_python(environment):
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    return {**os.environ, 'PATH': path, 'PORT': free_port(), **environment}


@pytest.mark.slow
def test_losses_and_gradients_equal_those_of_one_process(tiny_detector, tmp_path):  # noqa: F811
    script = ROOT / 'tests' / 'ddp_gradients.py'
    port = f'--master_port={free_port()}'
    done = run(*TORCHRUN, port, script, tiny_detector.config, tmp_path / 'two.pth')
    assert done.returncode == 0, done.stderr[-3000:]
    two = torch.load(tmp_path / 'two.pth')
    one = ddp_gradients.gradients(tiny_detector.config, slice(None))
    assert set(one['losses']) > {'loss_rpn_cls', 'loss_cls', 'loss_bbox', 'loss_mask'}
    torch.testing.assert_close(two['losses'], one['losses'], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(two['buffers'], one['buffers'], rtol=1e-5, atol=1e-5)
    assert all(g is not None for g in one['gradients'].values()), 'unused parameters'
    torch.testing.assert_close(two['gradients'], one['gradients'], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_evaluation_of_an_uneven_split_equals_that_of_one_process(tiny_detector, tmp_path):  # noqa: F811
    write_data(tmp_path / 'five', count=5)
    test = [tiny_detector.config, tiny_detector.checkpoint]
    options = ['--cfg-options', f'data_root={tmp_path / "five"}', *MANY_BOXES]
    results = []
    for name, command in (
        ('one', [sys.executable, TOOLS / 'test.py', *test]),
        ('two', [TOOLS / 'dist_test.sh', *test, 2]),
    ):
        out = tmp_path / f'{name}.pkl'
        work_dir = tmp_path / name
        done = run(*command, '--out', out, '--work-dir', work_dir, *options)
        assert done.returncode == 0, done.stderr[-3000:]
        (metrics,) = work_dir.glob('*/*.json')
        results.append((pickle.loads(out.read_bytes()), json.loads(metrics.read_text())))
    (one, one_metrics), (two, two_metrics) = results
    assert [image['img_path'] for image in two] == [image['img_path'] for image in one]
    assert len(two) == 5
    for a, b in zip(two, one):
        torch.testing.assert_close(a['pred_instances']['bboxes'], b['pred_instances']['bboxes'])
        torch.testing.assert_close(a['pred_instances']['scores'], b['pred_instances']['scores'])
    averages = {name: value for name, value in one_metrics.items() if name.startswith('coco/')}
    assert averages['coco/bbox_mAP_50'] > 0
    assert averages.items() <= two_metrics.items()


@pytest.mark.slow
def test_a_killed_worker_is_restarted_and_the_job_finishes(tiny_detector, tmp_path):  # noqa: F811
    command = [*TORCHRUN, '--max_restarts=3', '--rdzv_backend=c10d', '--rdzv_endpoint=localhost:0']
    command += [TOOLS / 'train.py', tiny_detector.config, '--launcher', 'pytorch', '--resume']
    command += ['--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_epochs=4', *QUICK]
    log = tmp_path / 'output.txt'
    with log.open('w') as output:
        job = subprocess.Popen(
            list(map(str, command)),
            stdout=output,
            stderr=output,
            env=with_this_python({}),
        )
        wait_for(tmp_path / 'last_checkpoint', job)
        workers = psutil.Process(job.pid).children()
        assert len(workers) == 2
        workers[1].send_signal(signal.SIGKILL)
        assert job.wait(timeout=500) == 0, log.read_text()[-3000:]
    assert 'resumed epoch' in log.read_text()
    assert (tmp_path / 'epoch_4.pth').exists()


@pytest.mark.slow
def test_a_signal_to_one_worker_saves_and_ends_both_and_a_relaunch_resumes(
    tiny_detector,  # noqa: F811
    tmp_path,
):
    command = [TOOLS / 'dist_train.sh', tiny_detector.config, 2, '--work-dir', tmp_path, '--resume']
    command += ['--cfg-options', 'train_cfg.max_epochs=4', *QUICK]
    log = tmp_path / 'output.txt'
    with log.open('w') as output:
        job = subprocess.Popen(
            list(map(str, command)), stdout=output, stderr=output, env=with_this_python({})
        )
        wait_for(tmp_path / 'last_checkpoint', job)
        workers = [
            process
            for process in psutil.Process(job.pid).children(recursive=True)
            if any(part.endswith('train.py') for part in process.cmdline()[1:3])
        ]
        assert len(workers) == 2
        workers[1].terminate()
        assert job.wait(timeout=500) != 0
    assert 'exitcode  : 75' in log.read_text()
    assert (tmp_path / 'last_checkpoint').read_text().endswith('interrupted.pth')
    relaunched = run(*command)
    assert relaunched.returncode == 0, relaunched.stderr[-3000:]
    assert 'interrupted.pth' in relaunched.stdout + relaunched.stderr
    assert (tmp_path / 'epoch_4.pth').exists()


def wait_for(path, job, seconds=300):
    end = time.monotonic() + seconds
    while not path.exists():
        assert job.poll() is None and time.monotonic() < end
        time.sleep(0.05)


def test_connections_that_time_out_are_tried_again(monkeypatch):
    address = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port(), RANK='0', WORLD_SIZE='1')
    for name, value in address.items():
        monkeypatch.setenv(name, value)
    connect, attempts = torch.distributed.init_process_group, []

    def time_out_once(*args, **kwargs):
        attempts.append(kwargs['timeout'])
        if len(attempts) == 1:
            raise RuntimeError('Timed out')
        connect(*args, **kwargs)

    monkeypatch.setattr(torch.distributed, 'init_process_group', time_out_once)
    join()
    try:
        assert attempts == [CONNECTING] * 2
        group = torch.distributed.distributed_c10d._get_default_group()
        assert group._get_backend(torch.device('cpu')).options._timeout >= timedelta(minutes=30)
    finally:
        torch.distributed.destroy_process_group()


def test_connections_that_keep_timing_out_are_an_error(monkeypatch):
    address = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port(), RANK='0', WORLD_SIZE='1')
    for name, value in address.items():
        monkeypatch.setenv(name, value)

    def time_out(*args, **kwargs):
        raise RuntimeError('Timed out')

    monkeypatch.setattr(torch.distributed, 'init_process_group', time_out)
    with pytest.raises(RuntimeError, match='Timed out'):
        join()


def test_a_single_process_joins_nothing():
    assert join_cpu_processes('none') == {}


def test_a_missing_launcher_is_named(monkeypatch):
    for name in ('RANK', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    for launcher, variable in (('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID')):
        with pytest.raises(
            ConfigError, match=f'--launcher {launcher} needs the variable {variable}'
        ):
            join_cpu_processes(launcher)


# torch's threads abort a process by chance while Python shuts down; this one always aborts then.
EXIT = """
import atexit
import os
import sys
import torch
from epsanet_mmdet.engine.dist import join
from epsanet_mmdet.utils.command_line import run_command

class Aborting:
    def __del__(self, abort=os.abort):
        abort()

aborting = Aborting()
atexit.register(print, 'registered')

def main():
    join()
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(8, 8))
    model(torch.ones(1, 8)).sum().backward()
    print('computed')
    sys.exit({status})

run_command(main)
"""


@pytest.mark.parametrize('status', [0, 75])
def test_processes_end_with_the_status_of_their_command(status, tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(EXIT.format(status=status))
    command = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=4', str(script)]
    done = run(sys.executable, *command)
    assert done.stdout.count('computed') == 4
    assert done.stdout.count('registered') == 4
    assert 'SIGABRT' not in done.stderr and (done.returncode == 0) == (status == 0)
    assert status == 0 or 'exitcode  : 75' in done.stderr
