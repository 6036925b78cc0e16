"""Kill trainings at random moments, resume them, and compare their final states.

    python tests/kill_training.py --kills 30

trains a small Mask R-CNN with the code of tools/train.py in forks of this process, which start
quickly, and ends them with SIGKILL, alternately at any moment and while a checkpoint is being
written. It prints as JSON what the kills hit, and whether every training ended with the weights
and the optimizer's state of an undisturbed one.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Dict, Optional
from unittest import mock

os.environ['OMP_NUM_THREADS'] = '1'  # a fork would wait forever for other threads

import torch  # noqa: E402

from epsanet_mmdet.checkpoint import restricted_load  # noqa: E402
from epsanet_mmdet.checkpoint.record import find_fault  # noqa: E402
from epsanet_mmdet.config.load import configs_dir  # noqa: E402
from epsanet_mmdet.datasets.shapes import write_shapes  # noqa: E402
from epsanet_mmdet.engine.mmdet_tools import run_mmdet_tool  # noqa: E402

CONFIG = """
_base_ = '{base}'
model = dict(
    backbone=dict(base_channels=16, groups=(1, 2, 4, 4)),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=32),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16),
    ),
    train_cfg=dict(rpn_proposal=dict(max_per_img=32), rcnn=dict(sampler=dict(num=16))),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers={workers},
    persistent_workers=False,
    dataset=dict(data_root='{data}/', pipeline=train_pipeline),
)
val_dataloader = None
val_cfg = None
val_evaluator = None
test_dataloader = None
test_cfg = None
test_evaluator = None
train_cfg = dict(max_epochs=3)
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=8)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=2))
visualizer = dict(type='Visualizer', vis_backends=[], _delete_=True)
randomness = dict(seed=7)
log_level = 'WARNING'
"""
IMAGES = 8  # in 3 epochs of 4 iterations


def write_config(folder: Path, workers: int) -> Path:
    """Write the data set and the training's config."""
    write_shapes(str(folder / 'data'), train=IMAGES, val=1, size=64)
    base = configs_dir() / 'shapes' / 'mask-rcnn_epsanet50-s-slim_fpn_shapes.py'
    text = CONFIG.format(base=base, data=folder / 'data', workers=workers)
    path = folder / 'killed.py'
    path.write_text(text)
    return path


def start(config: Path, work_dir: Path, *arguments: str) -> int:
    """Run tools/train.py in a fork with its own process group, and return its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        log = os.open(str(work_dir) + '.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.argv = ['train.py', str(config), '--work-dir', str(work_dir), *arguments]
        with mock.patch('mmengine.runner.runner.collect_env', dict):  # which asks compilers
            run_mmdet_tool('train.py')
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        print(error, file=sys.stderr)
    except BaseException as error:
        print(repr(error), file=sys.stderr)
    finally:
        os._exit(status)


def finished(pid: int, wait: bool = False) -> Optional[int]:
    """Return the exit status of a process, or None while it runs."""
    found, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def kill_group(pid: int) -> None:
    """End a training and its data workers with SIGKILL."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)  # before it made its group
    os.waitpid(pid, 0)


def kill_at(pid: int, delay: float) -> bool:
    """Kill a process after a delay; return False if it ended before."""
    end = time.monotonic() + delay
    while time.monotonic() < end:
        if finished(pid) is not None:
            return False
        time.sleep(0.002)
    kill_group(pid)
    return True


def kill_in_write(pid: int, work_dir: Path, writes: int, chance: random.Random) -> bool:
    """Kill a process while it writes a checkpoint; return False if it ended before."""
    seen = set()
    while finished(pid) is None:
        names = [entry.name for entry in os.scandir(work_dir)]
        now = {name for name in names if '.pth.' in name and name.endswith('.partial')}
        if now - seen:
            writes -= 1
            if writes < 0:
                time.sleep(chance.uniform(0, 0.01))
                kill_group(pid)
                return True
        seen = now
        time.sleep(0.0005)
    return False


def terminate_and_resume(config: Path, work_dir: Path) -> int:
    """End a training with SIGTERM halfway, and resume it to its end.

    Returns:
        The exit status on SIGTERM.
    """
    pid = start(config, work_dir)
    while not (work_dir / 'last_checkpoint').exists():
        if finished(pid) is not None:
            raise RuntimeError(Path(f'{work_dir}.log').read_text()[-2000:])
        time.sleep(0.01)
    os.kill(pid, signal.SIGTERM)
    status = finished(pid, wait=True)
    finished(start(config, work_dir, '--resume'), wait=True)
    return status


def final_state(work_dir: Path) -> Dict[str, torch.Tensor]:
    """Return the weights and the optimizer's tensors at the end of a training."""
    checkpoint = restricted_load((work_dir / 'last_checkpoint').read_text())
    state = dict(checkpoint['state_dict'])
    for number, values in checkpoint['optimizer']['state'].items():
        state.update({f'{number}.{name}': value for name, value in values.items()})
    state['iterations'] = torch.tensor(checkpoint['meta']['iter'])
    return state


def same(first: Dict[str, torch.Tensor], second: Dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def kill_and_resume(folder: Path, kills: int, seed: int = 0, workers: int = 0) -> dict:
    """Kill trainings ``kills`` times in total, and resume each until it ends.

    Args:
        folder: Folder for the data, the config and the runs.
        kills: Number of kills.
        seed: Seed of their moments.
        workers: Data workers of each training.
    """
    chance = random.Random(seed)
    config = write_config(folder, workers)
    began = time.monotonic()
    status = finished(start(config, folder / 'undisturbed'), wait=True)
    duration = time.monotonic() - began
    if status:
        raise RuntimeError((folder / 'undisturbed.log').read_text()[-2000:])
    wanted = final_state(folder / 'undisturbed')

    sigterm_status = terminate_and_resume(config, folder / 'terminated')
    results = [same(wanted, final_state(folder / 'terminated'))]

    hits = dict(any_moment=0, with_a_partial_file=0, before_the_first_checkpoint=0)
    while hits['any_moment'] + hits['with_a_partial_file'] < kills:
        work_dir = folder / f'run_{len(results)}'
        work_dir.mkdir()
        while True:
            done = hits['any_moment'] + hits['with_a_partial_file']
            pid = start(config, work_dir, '--resume')
            if done >= kills:
                killed = False
                status = finished(pid, wait=True)
            elif done % 2:
                killed = kill_in_write(pid, work_dir, chance.randrange(4), chance)
            else:
                killed = kill_at(pid, chance.uniform(0, duration))
            if not killed:
                break
            partial = bool(list(work_dir.glob('.*.partial')))
            hits['with_a_partial_file' if partial else 'any_moment'] += 1
            pointer = work_dir / 'last_checkpoint'
            hits['before_the_first_checkpoint'] += not pointer.exists()
            if pointer.exists() and find_fault(pointer.read_text()):
                raise RuntimeError(f'{pointer} names a file that is not whole')
        results.append(same(wanted, final_state(work_dir)))
        left = sorted(path.name for path in work_dir.glob('*.pth'))
        if len(left) != 2 or list(work_dir.glob('.*.partial')):
            raise RuntimeError(f'{work_dir} holds {left} after the run, and not two checkpoints')
    return dict(
        kills=kills,
        hits=hits,
        sigterm_status=sigterm_status,
        trainings=len(results),
        equal_to_the_bit=sum(results),
        undisturbed_seconds=round(duration, 1),
        seconds=round(time.monotonic() - began, 1),
    )


def main():
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=30)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = kill_and_resume(Path(folder), args.kills, args.seed, args.workers)
    print(json.dumps(result))
    sys.exit(result['equal_to_the_bit'] != result['trainings'])


if __name__ == '__main__':
    main()
