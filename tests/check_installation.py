"""Install a Python's stack into an empty environment, then train, test and infer with it.

    python tests/check_installation.py                       # the default stack of this Python
    python tests/check_installation.py upstream onedl        # both
    python tests/check_installation.py --python python3.13
    python tests/check_installation.py --no-cache            # ignore pip's cache, so build mmcv

It is not part of the test suite, because it needs the package index and takes minutes. It exits
with status 1 at the first command that fails.
"""

import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFIG = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'
DATA = "from epsanet_mmdet.datasets.shapes import write_shapes; write_shapes('data', 16, 4, 96)"
OPTIONS = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=4']
# pip check, but for the requirements of imaug, which tools/setup_env.py leaves out.
REQUIREMENTS = r"""
import subprocess, sys
check = subprocess.run([sys.executable, '-m', 'pip', 'check'], capture_output=True, text=True)
lines = check.stdout.splitlines()
print(*lines, sep='\n')
sys.exit(any(not line.startswith(('imaug ', 'No broken ')) for line in lines))
"""
COMMANDS = [
    ['-c', REQUIREMENTS],
    ['-c', DATA],
    ['tools/train.py', CONFIG, '--work-dir', 'work', '--cfg-options', *OPTIONS],
    ['tools/test.py', CONFIG, 'work/epoch_1.pth', '--work-dir', 'work'],
    ['tools/infer.py', CONFIG, 'work/epoch_1.pth', 'data/val'],
]


def check(stack: str, base: str, cache: bool) -> None:
    """Install a stack into a fresh clone and run every command there."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / 'clone'
        subprocess.run(['git', 'clone', '-q', str(ROOT), str(clone)], check=True)
        env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'VIRTUAL_ENV')}
        env['DATA_ROOT'] = 'data'
        if not cache:
            env['PIP_NO_CACHE_DIR'] = '1'
        run(['make', 'setup', f'STACK={stack}', f'PYTHON={base}', 'VENV=.venv'], clone, env)
        python = str(clone / '.venv' / 'bin' / 'python')
        for command in COMMANDS:
            run([python, *command], clone, env)


def base_python() -> str:
    """Return the Python that created this environment, or this Python outside of one."""
    return getattr(sys, '_base_executable', sys.executable)


def run(command, folder, env) -> None:
    print('$', *command, flush=True)
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(f'  status {done.returncode} after {time.monotonic() - started:.0f} s', flush=True)
    if done.returncode:
        sys.exit(done.stdout[-5000:])


def main() -> None:
    parser = ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('stacks', nargs='*', default=[''])
    parser.add_argument('--python', default=base_python(), help='default: the Python running this')
    parser.add_argument('--no-cache', action='store_true', help="ignore pip's cache")
    args = parser.parse_args()
    for stack in args.stacks:
        check(stack, args.python, not args.no_cache)
        print(f'{stack or "default stack"}: installed, trained, tested and inferred')


if __name__ == '__main__':
    main()
