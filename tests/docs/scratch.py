"""A project folder with the files that the documentation names, and small data in them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

import cv2
import numpy as np
import torch
from classifier_files import authors_checkpoint
from conftest import ROOT
from media import video
from mmdet.datasets import CocoDataset
from teacher_files import teacher_weights
from tool_process import run_python

from epsanet_mmdet.datasets.shapes import write_shapes

CONFIG = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'
# Words that a reader replaces, and what they stand for here.
PLACEHOLDERS = {
    'CONFIG': 'work_dirs/short.py',
    'WORK_DIR': 'work_dirs/short',
    'CHECKPOINT': 'work_dirs/demo/epoch_10.pth',
    'IMAGE': 'work_dirs/demo/data/val/000001.png',
    'SOURCE': 'epsanet50.pth',
}
SHORT = f"""
_base_ = './demo/{CONFIG}.py'
work_dir = 'work_dirs/short'
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
"""
PROGRAMS = {
    'python': '',
    'epsanet': '-m epsanet_cli',
    'torchrun': '-m torch.distributed.run',
}
FOR_THE_SHELL = re.compile(r'[$`*?~|&;<>(){}]')


def write_scratch(folder: Path) -> None:
    """Write the project folder: what ``make demo`` leaves, COCO, weights, photos and a video."""
    for name in ('benchmarks', 'configs', 'docs', 'tests', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    write_programs(folder / 'bin')
    for name in (*PROGRAMS, 'srun'):
        recorder = folder / 'recorders' / name
        recorder.parent.mkdir(exist_ok=True)
        _write_program(recorder, 'printf "%s\\n" "${0##*/}" "$@" > recorded')
    write_shapes(str(folder / 'work_dirs' / 'demo' / 'data'), train=8, val=4, size=64)
    write_thin_coco(folder / 'data' / 'coco')
    torch.save(teacher_weights(), folder / 'resnet50.pth')
    torch.save(authors_checkpoint(), folder / 'epsanet50.pth')
    video(folder / 'clip.mp4')
    (folder / 'work_dirs' / 'short.py').write_text(SHORT)
    (folder / 'photos').symlink_to('work_dirs/demo/data/val')
    train = f'python tools/train.py {CONFIG} --work-dir work_dirs/demo'
    once = 'train_cfg.val_interval=10 default_hooks.checkpoint.interval=10'
    run(f'{train} --cfg-options data_root=work_dirs/demo/data {once}', folder)
    find_something(folder / PLACEHOLDERS['CHECKPOINT'])
    for seed in ('seed0', 'seed1'):
        copy_scratch(folder / 'work_dirs' / 'demo', folder / 'work_dirs' / seed)


def find_something(checkpoint: Path) -> None:
    """Let a detector that was hardly trained find objects, of the first class."""
    content = torch.load(checkpoint, weights_only=False)
    content['state_dict']['roi_head.bbox_head.fc_cls.bias'][0] += 5
    checkpoint.unlink()
    torch.save(content, checkpoint)
    (checkpoint.parent / 'checkpoints.json').unlink()  # the record of what the training wrote


def write_programs(folder: Path) -> None:
    """Write the programs that an activated environment has, for the Python of the tests."""
    folder.mkdir()
    for name, arguments in PROGRAMS.items():
        _write_program(folder / name, f'exec {sys.executable} -W ignore {arguments} "$@"')


def _write_program(path: Path, line: str) -> None:
    path.write_text(f'#!/bin/sh\n{line}\n')
    path.chmod(0o755)


def write_thin_coco(root: Path) -> None:
    """Write one image for training and one other with COCO's names and categories.

    They are 43 times as wide as high, so that they are resized to 1333x31.
    """
    names = CocoDataset.METAINFO['classes']
    random = np.random.default_rng(0)
    (root / 'annotations').mkdir(parents=True)
    for image_id, split in enumerate(('train2017', 'val2017'), 1):
        (root / split).mkdir()
        file = f'{image_id:012d}.jpg'
        picture = random.integers(0, 255, (32, 1376, 3), dtype=np.uint8)
        cv2.imwrite(str(root / split / file), picture)
        image = dict(id=image_id, file_name=file, width=1376, height=32)
        annotation = dict(
            id=image_id,
            image_id=image_id,
            category_id=1,
            bbox=[40, 4, 60, 24],
            area=1440,
            segmentation=[[40, 4, 100, 4, 100, 28, 40, 28]],
            iscrowd=0,
        )
        categories = [dict(id=i, name=name) for i, name in enumerate(names, 1)]
        content = dict(images=[image], annotations=[annotation], categories=categories)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def copy_scratch(source: Path, folder: Path) -> Path:
    """Copy a project folder; checkpoints, which are replaced and not changed, are links."""

    def copy(file: str, target: str) -> None:
        (os.link if file.endswith('.pth') else shutil.copy2)(file, target)

    return Path(shutil.copytree(source, folder, symlinks=True, copy_function=copy))


def run(command: str, folder: Path, programs: str = 'bin') -> subprocess.CompletedProcess:
    """Run a shell command in the project folder."""
    environment = environment_with(folder / programs)
    program, *arguments = shlex.split(command)
    if programs == 'bin' and program in PROGRAMS and not FOR_THE_SHELL.search(command):
        words = (*PROGRAMS[program].split(), *arguments)
        done = run_python(*words, cwd=folder, environment=environment)
    else:
        done = subprocess.run(
            ['bash', '-ec', command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=900,
        )
    assert done.returncode == 0, f'{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}'
    return done


def environment_with(programs: Path) -> Dict[str, str]:
    """Return the environment of a reader, with a folder of programs first in ``PATH``."""
    environment = {key: value for key, value in os.environ.items() if key != 'DATA_ROOT'}
    return {
        **environment,
        'PATH': f'{programs}{os.pathsep}{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT),
        'PYTHONWARNINGS': 'ignore',
    }
