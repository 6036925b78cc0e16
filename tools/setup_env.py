"""Create the environment of this checkout: the pinned mm* stack and this package.

Needs only Python's standard library. After an interruption, run it again to continue. A torch that
is installed in the environment, or in the Python that runs this script, is kept.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ((3, 11), (3, 12))
PROBE_TORCH = (
    'import sys, torch; sys.exit(tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6))'
)
PROBE_INCLUDES = """
import sysconfig, torch.utils.cpp_extension as extension
print(*('-I' + p for p in [*extension.include_paths(), sysconfig.get_paths()['include']]))
"""
MMCV_BUILD = ('mmcv', 'onedl-mmcv')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--venv', default='.venv', help='folder of the environment')
    parser.add_argument('--stack', default='upstream', choices=('upstream', 'onedl'))
    args = parser.parse_args()
    venv = Path(args.venv).absolute()
    python = venv / 'bin' / 'python'
    pins = ROOT / 'requirements' / f'{args.stack}.txt'
    stamp = venv / f'.ready-{args.stack}'
    state = fingerprint(pins)
    if stamp.is_file() and stamp.read_text() == state:
        return
    check_prerequisites()
    if not python.is_file():
        create_venv(venv, python)
    install(python, pins)
    build_mmcv(python, pins)
    say('installing the rest of the stack and epsanet_mmdet')
    pip(python, *rest_of(pins), '-e', f'{ROOT}[test,export]')
    replace_opencv(python)
    run([python, '-W', 'ignore', '-c', 'import mmcv.ops, mmdet, epsanet_mmdet'])
    stamp.write_text(state)
    say(f'ready: {venv}')


def say(message):
    print(f'[setup] {message}', flush=True)


def fail(message):
    sys.exit(f'[setup] error: {message}')


def run(command, **kwargs):
    command = [str(part) for part in command]
    if subprocess.run(command, cwd=ROOT, **kwargs).returncode:
        fail(f'this command failed, see above: {" ".join(command)}')


def pip(python, *arguments):
    quiet = ['-q', '--disable-pip-version-check', '--no-input']
    run([python, '-m', 'pip', 'install', *quiet, *arguments])


def fingerprint(pins):
    sources = sorted(ROOT.glob('epsanet_mmdet/ops/cpu/csrc/*'))
    files = [Path(__file__), pins, ROOT / 'setup.py', *sources]
    return hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()


def check_prerequisites():
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        low, high = ('.'.join(map(str, version)) for version in SUPPORTED)
        fail(
            f'this is Python {sys.version.split()[0]}; the pinned packages need {low} to {high}; '
            'run: make PYTHON=python3.11 ...'
        )
    compiler = os.environ.get('CXX', 'c++')
    if shutil.which(compiler) is None:
        fail(
            f'mmcv is compiled here and there is no C++ compiler ({compiler}); on Debian run: '
            'apt-get install g++'
        )
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        fail(
            "mmcv is compiled here and Python's headers are missing; on Debian run: "
            'apt-get install python3-dev'
        )


def create_venv(venv, python):
    inherits = subprocess.run([sys.executable, '-c', PROBE_TORCH], capture_output=True).returncode
    options = [] if inherits else ['--system-site-packages']
    say(f'creating {venv}' + (', with the torch of this Python' if options else ''))
    if subprocess.run([sys.executable, '-c', 'import ensurepip'], capture_output=True).returncode:
        # Debian without python3-venv: install pip with the pip of this Python.
        run([sys.executable, '-m', 'venv', '--without-pip', *options, venv])
        run([sys.executable, '-m', 'pip', '--python', python, 'install', '-q', 'pip'])
    else:
        run([sys.executable, '-m', 'venv', *options, venv])


def install(python, pins):
    if subprocess.run([str(python), '-c', PROBE_TORCH], capture_output=True).returncode:
        say(f'installing {pinned(pins, "torch")} (large)')
        pip(python, pinned(pins, 'torch'))
    pip(python, 'setuptools<81', 'wheel', 'ninja', 'psutil', 'numpy', '-c', str(pins))


def pinned(pins, *names):
    """Return the line of a requirements file that pins one of these packages."""
    lines = pins.read_text().splitlines()
    return next(line for line in lines if line.split('==')[0] in names)


def rest_of(pins):
    """Return all pins but those of torch and mmcv, which are installed first."""
    lines = [line for line in pins.read_text().splitlines() if '==' in line]
    return [line for line in lines if line.split('==')[0] not in ('torch', *MMCV_BUILD)]


def build_mmcv(python, pins):
    """Install mmcv with its operators, without build isolation because the build needs torch."""
    if not subprocess.run([str(python), '-c', 'import mmcv._ext'], capture_output=True).returncode:
        return
    requirement = pinned(pins, *MMCV_BUILD)
    say(f'building {requirement} from source: 2 to 10 minutes the first time')
    log = Path(python).parent.parent / 'mmcv-build.log'
    with tempfile.TemporaryDirectory() as folder, open(log, 'wb', buffering=0) as output:
        environment = dict(os.environ, MMCV_WITH_OPS='1', CFLAGS=compiler_flags(python, folder))
        command = [python, '-m', 'pip', 'install', '-v', '--no-build-isolation', '--no-deps']
        process = subprocess.Popen(
            [*map(str, command), requirement],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for line in process.stdout:
            output.write(line)
            step = re.match(rb'\s*(\[\d+/\d+\]) ', line)
            if step:
                say(f'mmcv: file {step[1].decode()}')
    if process.wait():
        fail(f'mmcv did not build; see the compiler errors in {log}')


def compiler_flags(python, folder):
    """Return flags that optimise without debug information and, if possible, precompile headers.

    Precompiled headers of torch halve the build time. The compiler ignores them where flags differ.
    """
    flags = '-O2 -g0 -DNDEBUG -fwrapv -w'
    header = Path(folder, 'torch_types.h')
    header.write_text('#include <torch/types.h>\n')
    probe = [str(python), '-W', 'ignore', '-c', PROBE_INCLUDES]
    includes = subprocess.run(probe, capture_output=True, text=True).stdout.split()
    extension = '-fPIC -std=c++17 -DTORCH_API_INCLUDE_EXTENSION_H -DTORCH_EXTENSION_NAME=_ext'
    compiler = os.environ.get('CXX', 'c++')
    precompile = [compiler, *flags.split(), *includes, *extension.split(), '-x', 'c++-header']
    done = subprocess.run([*precompile, str(header), '-o', f'{header}.gch'], capture_output=True)
    return flags if done.returncode else f'{flags} -include {header}'


def replace_opencv(python):
    """Replace opencv-python by its headless build if the system lacks libGL."""
    if subprocess.run([str(python), '-c', 'import cv2'], capture_output=True).returncode:
        say('this system has no libGL: installing opencv-python-headless')
        probe = 'from importlib.metadata import version; print(version("opencv-python"))'
        version = subprocess.check_output([str(python), '-c', probe], text=True).strip()
        run([python, '-m', 'pip', 'uninstall', '-q', '-y', 'opencv-python'])
        pip(python, f'opencv-python-headless=={version}')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        print('interrupted; the same command continues', file=sys.stderr)
        sys.exit(130)
