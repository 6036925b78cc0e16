"""Building mmcv with its operators, from source: neither stack has wheels for today's torch."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from .messages import fail, output_of, say, succeeds

INCLUDES = """
import sysconfig, torch.utils.cpp_extension as extension
print(*('-I' + p for p in [*extension.include_paths(), sysconfig.get_paths()['include']]))
"""
# As mmcv's setup.py decides; prints nothing where it builds for CPUs.
CUDA = """
import os, torch, torch.utils.cpp_extension as extension
sees = torch.cuda.is_available()
if not torch.version.hip and (sees or os.environ.get('FORCE_CUDA') == '1'):
    print(sees, torch.version.cuda, extension.CUDA_HOME, sep='\\n')
"""


def check_compiler():
    compiler = os.environ.get('CXX', 'c++')
    if shutil.which(compiler) is None:
        fail(
            f'mmcv is compiled here and there is no C++ compiler ({compiler}); on Debian run: '
            'apt-get install g++'
        )
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        name = 'python{}.{}-dev'.format(*sys.version_info)
        fail(
            f"mmcv is compiled here and Python's headers are missing; on Debian run: "
            f'apt-get install {name}'
        )


def builds_for_gpus(python):
    """Return whether mmcv will be built for GPUs; fail where the CUDA toolkit does not fit."""
    found = output_of([python, '-W', 'ignore', '-c', CUDA]).splitlines()
    if not found:
        return False
    sees, wanted, home = found
    if wanted == 'None':
        fail('FORCE_CUDA=1 needs a CUDA build of torch, and the one installed is for CPUs')
    version = output_of([Path(home, 'bin', 'nvcc'), '--version']) if home != 'None' else ''
    release = re.search(r'release (\d+)\.', version)
    if not release or release[1] != wanted.split('.')[0]:
        there = f'{home} is CUDA {release[1]}' if release else 'there is no nvcc'
        fail(
            f'to compile mmcv for the GPU, torch needs the CUDA toolkit {wanted}, and {there}; '
            'install it and set CUDA_HOME, or use the CPU: CUDA_VISIBLE_DEVICES= make ...'
        )
    if sees != 'True' and not os.environ.get('TORCH_CUDA_ARCH_LIST'):
        fail(
            'without a visible GPU, FORCE_CUDA=1 needs TORCH_CUDA_ARCH_LIST, for example 8.6 or 9.0'
        )
    return True


def build_mmcv(python, requirement):
    """Install mmcv with its operators, without build isolation because the build needs torch."""
    if succeeds([python, '-c', 'import mmcv._ext']):
        return
    # pip's cache does not distinguish builds for GPUs from those for CPUs.
    cache = ['--no-cache-dir'] if builds_for_gpus(python) else []
    say(f'building {requirement} from source: 2 to 10 minutes the first time')
    log = python.parent.parent / 'mmcv-build.log'
    with tempfile.TemporaryDirectory() as folder, open(log, 'wb', buffering=0) as output:
        environment = dict(
            os.environ,
            PATH=f'{python.parent}{os.pathsep}{os.environ["PATH"]}',  # ninja compiles in parallel
            MMCV_WITH_OPS='1',
            CFLAGS=compiler_flags(python, folder),
        )
        command = [python, '-m', 'pip', 'install', '-v', '--no-build-isolation', '--no-deps']
        process = subprocess.Popen(
            [*map(str, command), *cache, requirement],
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
    includes = output_of([python, '-W', 'ignore', '-c', INCLUDES]).split()
    extension = '-fPIC -std=c++17 -DTORCH_API_INCLUDE_EXTENSION_H -DTORCH_EXTENSION_NAME=_ext'
    compiler = os.environ.get('CXX', 'c++')
    precompile = [compiler, *flags.split(), *includes, *extension.split(), '-x', 'c++-header']
    done = succeeds([*precompile, header, '-o', f'{header}.gch'])
    return f'{flags} -include {header}' if done else flags
