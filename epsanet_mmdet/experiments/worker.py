"""The process that runs a job, or with a launcher one of several, one per GPU.

``python -m epsanet_mmdet.experiments.worker FOLDER [--launcher pytorch]``
"""

import argparse
import os
import platform
import subprocess
import sys
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Dict, Iterator, Optional

import torch
from mmengine.config import Config
from mmengine.dist import barrier, get_world_size, is_main_process

from ..config.data import data_paths
from ..engine.mmdet_tools import run_mmdet_tool
from ..errors import CheckpointError, UserError
from ..evaluation.data import load_ground_truth, load_results
from ..evaluation.metrics import evaluate
from ..utils.command_line import run_command
from ..utils.environment import installed_version, processor, versions
from ..utils.storage import write_json, write_whole
from .fingerprint import short_hash
from .job import last_checkpoint, lock, read_json, result_files, resumable

RECORDED = ('numpy', 'opencv-python', 'opencv-python-headless', 'pycocotools')  # versions
BEAT = 5  # seconds between updates of seconds.json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none')
    args = parser.parse_args()
    try:
        run_job(args.folder, args.launcher)
    except UserError:
        raise
    except Exception:
        traceback.print_exc()  # into console.log
        raise


def run_job(folder: Path, launcher: str = 'none') -> None:
    """Train or resume a prepared job, test it, and write ``result.json``.

    Args:
        folder: The job's folder.
        launcher: mmengine's launcher: ``'none'``, ``'pytorch'`` or ``'slurm'``.

    Raises:
        UserError: One line that names what is wrong.
    """
    if launcher == 'slurm' and is_first_process():
        lock(folder)  # until this process ends; on one machine, the plan has locked it
    if not (folder / 'train' / 'finished').exists():
        with _clock(folder, 'train'):
            resume = ['--resume'] if resumable(folder) else []
            _run_tool('train.py', folder / 'config.py', folder / 'train', launcher, *resume)
        _on_main_process(write_whole, 'yes\n', folder / 'train' / 'finished')
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        raise CheckpointError(
            f"the training in '{folder}' left no checkpoint; remove the folder to train again"
        )
    with _clock(folder, 'test'):
        _run_tool('test.py', folder / 'test_config.py', folder / 'test', launcher, checkpoint)
        _on_main_process(_write_result, folder, checkpoint)


def is_first_process() -> bool:
    """Return True in the first process of a job, whether or not the processes are connected."""
    return not int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0)))


def _run_tool(tool: str, config: Path, work_dir: Path, launcher: str, *arguments: str) -> None:
    options = ['--work-dir', str(work_dir), '--launcher', launcher]
    sys.argv = [tool, str(config), *options, *arguments]
    run_mmdet_tool(tool)


def _on_main_process(function, *args) -> None:
    if is_main_process():
        function(*args)
    barrier()


def _write_result(folder: Path, checkpoint: str) -> None:
    config = Config.fromfile(folder / 'config.py')
    settings = read_json(folder / 'settings.json')
    recorded = {name: installed_version(name) for name in RECORDED}
    recorded = {name: version for name, version in recorded.items() if version}
    result = dict(
        settings=short_hash(settings),
        seed=settings['seed'],
        metrics=measure(config, folder / 'test'),
        checkpoint=Path(checkpoint).name,
        versions={**versions(), **recorded, 'python': platform.python_version()},
        commit=commit(),
        hardware=hardware(),
        processes=get_world_size(),
        finished=datetime.now(UTC).isoformat(timespec='seconds'),
    )
    write_json(result, folder / 'result.json')


def measure(config: Config, folder: Path) -> Dict[str, Dict[str, Optional[float]]]:
    """Compute COCO's metrics from the results that a test wrote.

    Args:
        config: The job's config.
        folder: Where the test wrote ``results.bbox.json`` and ``results.segm.json``.

    Returns:
        Metrics from 0 to 1 by IoU type (``'bbox'``, ``'segm'``) and name.
    """
    dataset = config.test_dataloader.dataset
    classes = (dataset.get('metainfo') or {}).get('classes')
    gt = load_ground_truth(data_paths(dataset).ann_file, classes)
    detections = load_results(gt, result_files(folder))
    return {iou_type: evaluate(gt, dt, iou_type).summary for iou_type, dt in detections.items()}


@contextmanager
def _clock(folder: Path, stage: str) -> Iterator[None]:
    """Add the time of a stage to ``seconds.json``, on the main process."""
    if not is_first_process():
        yield
        return
    path, start, stop = folder / 'seconds.json', time.monotonic(), threading.Event()
    earlier = read_json(path) or {}

    def write() -> None:
        spent = earlier.get(stage, 0) + time.monotonic() - start
        write_json({**earlier, stage: round(spent, 1)}, path)

    def beat() -> None:
        while not stop.wait(BEAT):
            with suppress(UserError):  # a full disk ends the training anyway
                write()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        write()


def hardware() -> str:
    """Return the name of the GPU, or of the CPU with the number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'{processor()}, {torch.get_num_threads()} threads'


def commit() -> Optional[str]:
    """Return the commit of this package's repository, or None if it is not in one."""
    package = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ['git', '-C', str(package), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git('ls-files', '--error-unmatch', '__init__.py')  # else it lies in another repository
        changed = git('status', '--porcelain', '--untracked-files=no', '--', '.')
        return git('rev-parse', '--short=12', 'HEAD') + (' with changes' if changed else '')
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == '__main__':
    run_command(main)
