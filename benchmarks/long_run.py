"""Train the demo's detector for a long time, and check memory, open files and child processes.

The exit status is 1 if any of these grows.
"""

import contextlib
import ctypes
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Union

import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.config.data import set_image_scale
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.demo import CONFIG
from epsanet_mmdet.utils.command_line import run_command

TOLERANCE = 0.02


class Sample(NamedTuple):
    """State of this process after an iteration."""

    iteration: int
    memory: float  # RSS of this process alone, MiB
    workers_memory: float  # RSS of its children, MiB; shared pages count in each
    files: int
    children: int


def take_sample(iteration: int) -> Sample:
    """Read this process's memory, open files and children from ``/proc``."""
    children = child_processes(os.getpid())
    files = len(os.listdir('/proc/self/fd')) - 1  # listing them opens one
    memory = resident_mib(os.getpid())
    return Sample(iteration, memory, sum(map(resident_mib, children)), files, len(children))


def resident_mib(process: Union[int, str]) -> float:
    """Return a process's resident memory in MiB; 0 if it has ended."""
    try:
        pages = int(Path(f'/proc/{process}/statm').read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def child_processes(process: int) -> List[int]:
    """Return the process ids of the children of all threads of a process."""
    return [
        int(child)
        for path in Path(f'/proc/{process}/task').glob('*/children')
        for child in path.read_text().split()
    ]


def return_free_memory() -> None:
    """Return the freed memory that the C library holds to the system."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


@HOOKS.register_module()
class ResourcesHook(Hook):
    """Sample the resources of the process during training.

    Args:
        interval: Iterations between two samples.
        out_file: File for the samples as JSON lines.
        tidy: Return freed memory to the system before each sample. Otherwise the C library holds
            some, and peaks such as saving can leave steps.
    """

    priority = 'LOWEST'

    def __init__(
        self, interval: int = 10, out_file: Optional[str] = None, tidy: bool = True
    ) -> None:
        self.interval = interval
        self.tidy = tidy
        self.out_file = out_file
        self.samples: List[Sample] = []

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        # in the middle of intervals, since workers exit at the end of an epoch
        if (runner.iter + 1) % self.interval == self.interval // 2:
            gc.collect()  # garbage in reference cycles is not a leak
            if self.tidy:
                return_free_memory()
            sample = take_sample(runner.iter + 1)
            self.samples.append(sample)
            if self.out_file:
                with open(self.out_file, 'a') as file:
                    file.write(json.dumps(sample._asdict()) + '\n')


def judge(samples: List[Sample], warm_up: int) -> Dict[str, Any]:
    """Return statistics of the resources, and whether they stay constant (``flat``).

    They do if memory changes by less than 2 %, both along its least-squares line and between the
    means of the first and last fifth, and if the numbers of files and children do not change.

    Args:
        samples: In order.
        warm_up: Samples up to this iteration are ignored.
    """
    kept = [sample for sample in samples if sample.iteration > warm_up]
    if len(kept) < 10:
        raise ValueError(f'{len(kept)} samples after the warm-up are too few; 10 are needed')
    iterations = np.array([s.iteration for s in kept], float)
    memory = np.array([s.memory for s in kept])
    slope = np.polyfit(iterations, memory, 1)[0]
    fifth = len(kept) // 5
    drift = memory[-fifth:].mean() / memory[:fifth].mean() - 1
    trend = slope * (iterations[-1] - iterations[0]) / memory.mean()
    files, children = {s.files for s in kept}, {s.children for s in kept}
    # a sample may fall between the workers of two epochs, hence medians
    same_ends = all(
        np.median([getattr(s, name) for s in kept[:fifth]])
        == np.median([getattr(s, name) for s in kept[-fifth:]])
        for name in ('files', 'children')
    )
    return dict(
        iterations=int(iterations[-1]),
        memory_mib=[round(float(v), 1) for v in (memory.min(), memory.mean(), memory.max())],
        memory_trend=round(float(trend), 4),
        memory_drift=round(float(drift), 4),
        files=[min(files), max(files)],
        children=[min(children), max(children)],
        flat=bool(abs(trend) < TOLERANCE and abs(drift) < TOLERANCE and same_ends),
    )


def run_long(
    work_dir: str,
    iterations: int = 2000,
    size: int = 192,
    images: int = 400,
    batch_size: int = 8,
    tidy: bool = True,
) -> Dict[str, Any]:
    """Train the demo's detector for many iterations and judge its resources.

    Args:
        work_dir: Folder for all files; ``resources.jsonl`` holds the samples.
        iterations: Rounded up to whole epochs.
        size: Height and width of the images, pixels.
        images: Number of training images.
        batch_size: Images per iteration.
        tidy: See :class:`ResourcesHook`.
    """
    work_dir = Path(work_dir)
    write_shapes(str(work_dir / 'data'), train=images, val=8, size=size)
    epochs = -(-iterations // -(-images // batch_size))
    config = load_config(CONFIG, dict(data_root=str(work_dir / 'data'), work_dir=str(work_dir)))
    set_image_scale(config, (size, size))
    hook = dict(
        type='ResourcesHook',
        interval=10,
        out_file=str(work_dir / 'resources.jsonl'),
        tidy=tidy,
    )
    config.merge_from_dict(
        {
            'train_dataloader.batch_size': batch_size,
            'train_cfg': dict(max_epochs=epochs, val_interval=max(epochs // 8, 1)),
            'custom_hooks': [*config.custom_hooks, hook],
            'param_scheduler': [dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50)],
            'randomness': dict(seed=0),
        }
    )
    runner = Runner.from_cfg(config)
    runner.train()
    samples = next(h for h in runner.hooks if isinstance(h, ResourcesHook)).samples
    return judge(samples, warm_up=runner.iter // 5)


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        '--work-dir', default='work_dirs/long_run', help='output folder (default: %(default)s)'
    )
    parser.add_argument(
        '--iterations',
        type=int,
        default=2000,
        help='training iterations, rounded up to whole epochs (default: %(default)s)',
    )
    parser.add_argument(
        '--size',
        type=int,
        default=192,
        help='height and width of the images (default: %(default)s)',
    )
    parser.add_argument(
        '--images', type=int, default=400, help='number of training images (default: %(default)s)'
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images per iteration (default: %(default)s)'
    )
    parser.add_argument(
        '--as-is',
        action='store_false',
        dest='tidy',
        help='also count freed memory that was not returned to the system',
    )
    return parser.parse_args()


def main():
    args = vars(parse_args())
    result = run_long(args.pop('work_dir'), **args)
    print(json.dumps(result))
    sys.exit(not result['flat'])


if __name__ == '__main__':
    run_command(main)
