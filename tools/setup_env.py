"""Create the environment of this checkout: the pinned mm* stack and this package.

Needs only Python's standard library. After an interruption, run it again to continue. A torch that
is installed in the environment, or in the Python that runs this script, is kept.
"""

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

from _setup.build import build_mmcv, check_compiler
from _setup.messages import fail, run, say, succeeds
from _setup.stacks import announce_forks, choose_stack

ROOT = Path(__file__).resolve().parent.parent
TORCH = 'import sys, torch; sys.exit(tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6))'
MMCV = ('mmcv', 'onedl-mmcv')
ALONE = ('onedl-mmdetection', 'imaug')  # without their requirements: see requirements/onedl.txt


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--venv', default='.venv', help='folder of the environment')
    parser.add_argument('--stack', default='', help='upstream or onedl (default: by the Python)')
    args = parser.parse_args()
    venv = Path(args.venv).absolute()
    python = venv / 'bin' / 'python'
    stack = choose_stack(args.stack, python)
    pins = ROOT / 'requirements' / f'{stack}.txt'
    stamp = venv / f'.ready-{stack}'
    state = fingerprint(pins)
    if stamp.is_file() and stamp.read_text() == state:
        return
    check_compiler()
    check_venv()
    announce_forks(args.stack, stack, python)
    if not python.is_file():
        create_venv(venv, python)
    install(python, pins)
    build_mmcv(python, pinned(pins, *MMCV))
    say('installing the rest of the stack and epsanet_mmdet')
    pip(python, *without(pins, 'torch', *MMCV, *ALONE), '-e', f'{ROOT}[test,export]')
    if stack == 'onedl':
        pip(python, '--no-deps', *(pinned(pins, name) for name in ALONE))
    replace_opencv(python)
    run([python, '-W', 'ignore', ROOT / 'tools' / '_setup' / 'ready.py'])
    stamp.write_text(state)


def pip(python, *arguments):
    quiet = ['-q', '--disable-pip-version-check', '--no-input']
    run([python, '-m', 'pip', 'install', *quiet, *arguments])


def fingerprint(pins):
    code = [*ROOT.glob('tools/_setup/*.py'), *ROOT.glob('epsanet_mmdet/ops/cpu/csrc/*')]
    files = [Path(__file__), pins, ROOT / 'setup.py', *sorted(code)]
    return hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()


def check_venv():
    if not succeeds([sys.executable, '-c', 'import ensurepip']) and not succeeds(
        [sys.executable, '-m', 'pip', '--version']
    ):
        fail('this Python can create no environment; on Debian run: apt-get install python3-venv')


def create_venv(venv, python):
    options = ['--system-site-packages'] if succeeds([sys.executable, '-c', TORCH]) else []
    say(f'creating {venv}' + (', with the torch of this Python' if options else ''))
    if succeeds([sys.executable, '-c', 'import ensurepip']):
        run([sys.executable, '-m', 'venv', *options, venv])
    else:
        # Debian without python3-venv: install pip with the pip of this Python.
        run([sys.executable, '-m', 'venv', '--without-pip', *options, venv])
        run([sys.executable, '-m', 'pip', '--python', python, 'install', '-q', 'pip'])


def install(python, pins):
    if not succeeds([python, '-c', TORCH]):
        say(f'installing {pinned(pins, "torch")} (large)')
        pip(python, pinned(pins, 'torch'))
    pip(python, 'setuptools<81', 'wheel', 'ninja', 'psutil', 'numpy', '-c', str(pins))


def pinned(pins, *names):
    """Return the line of a requirements file that pins one of these packages."""
    lines = pins.read_text().splitlines()
    return next(line for line in lines if line.split('==')[0] in names)


def without(pins, *names):
    """Return the lines of a requirements file but those that pin one of these packages."""
    lines = [line for line in pins.read_text().splitlines() if '==' in line]
    return [line for line in lines if line.split('==')[0] not in names]


def replace_opencv(python):
    """Replace opencv-python by its headless build if the system lacks libGL."""
    if not succeeds([python, '-c', 'import cv2']):
        say('this system has no libGL: installing opencv-python-headless')
        probe = 'from importlib.metadata import version; print(version("opencv-python"))'
        version = subprocess.check_output([str(python), '-c', probe], text=True).strip()
        run([python, '-m', 'pip', 'uninstall', '-q', '-y', 'opencv-python'])
        # Where another package brought it, its files went with those of opencv-python.
        pip(python, '--force-reinstall', '--no-deps', f'opencv-python-headless=={version}')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        print('interrupted; the same command continues', file=sys.stderr)
        sys.exit(130)
