"""Fuzz readers of untrusted files with Atheris, guided by coverage, with format-aware mutations.

    python tests/fuzz/run_fuzz.py checkpoints --runs 10000

It ends with status 0 and a line of figures, or at the first file that runs code, takes too much
time or memory, or raises anything but a clear error. That file is kept and named; ``--file`` reads
it again.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import resource
import shutil
import sys
import time
import traceback
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import mmdet  # noqa: E402, F401 - and torch with it: too much of both to guide by
import torch._weights_only_unpickler as unpickler  # noqa: E402

INSTRUMENTED = ['epsanet_mmdet', 'PIL', 'tarfile', 'yaml', 'zipfile']
with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=INSTRUMENTED):
    import oracle
    import targets
unpickler.Unpickler.load = atheris.instrument_func(unpickler.Unpickler.load)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('targets', nargs='+', choices=list(targets.TARGETS))
    parser.add_argument('--runs', type=int, default=-1, help='files per target (no limit)')
    parser.add_argument('--seconds', type=int, default=0, help='time per target (no limit)')
    parser.add_argument('--timeout', type=int, default=5, help='seconds per file (%(default)s)')
    parser.add_argument('--seed', type=int, default=1, help='seed of the mutations (%(default)s)')
    parser.add_argument('--keep', default='.', help='folder for a failing file (this folder)')
    parser.add_argument('--file', help='read only this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    status = 0
    for name in args.targets:
        folder = targets.scratch()
        try:
            status |= read_one(name, args, folder) if args.file else fuzz(name, args, folder)
        finally:
            shutil.rmtree(folder)
    sys.exit(status)


def read_one(name: str, args: argparse.Namespace, folder: Path) -> int:
    target = targets.build(name, folder)
    target.write(Path(args.file).read_bytes())
    accepted = oracle.check(target.read, oracle.peak_memory() + target.memory)
    print('accepted' if accepted else 'refused with a clear error')
    return 0


def fuzz(name: str, args: argparse.Namespace, folder: Path) -> int:
    """Fuzz in a child process, which libFuzzer ends, and print the result."""
    target = targets.build(name, folder)
    figures = multiprocessing.RawArray('d', 4)  # files, accepted, slowest, bytes of memory
    log = folder / 'log'
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        output = os.open(log, os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            run_libfuzzer(name, args, target, figures, folder / 'corpus')
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)  # libFuzzer has ended the process itself if all went well
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    files, accepted, slowest, memory = figures
    print(
        f'{name}: {files:.0f} files in {time.monotonic() - started:.0f} s, {accepted:.0f} '
        f'accepted and the others refused with a clear error; slowest {slowest:.2f} s of CPU; '
        f'memory + {memory / 2**20:.0f} MiB',
        flush=True,
    )
    if status:
        print(f'it ended with status {status}')
        lines = log.read_text(errors='replace').splitlines()
        print('\n'.join(line[:500] for line in lines[-60:] if not line.startswith('#')))
        return 1
    return 0


def run_libfuzzer(
    name: str, args: argparse.Namespace, target: targets.Target, figures, corpus: Path
) -> None:
    before = oracle.peak_memory()
    Path(args.keep).mkdir(parents=True, exist_ok=True)
    corpus.mkdir()
    for i, content in enumerate(target.seeds):
        (corpus / f'{i}').write_bytes(content)

    def read(content: bytes) -> None:
        target.write(content)
        begin = time.process_time()
        try:
            accepted = oracle.check(target.read, before + target.memory)
        except Exception:
            Path(args.keep, f'{name}-failed').write_bytes(content)
            raise
        figures[0] += 1
        figures[1] += accepted
        figures[2] = max(figures[2], time.process_time() - begin)
        figures[3] = oracle.peak_memory() - before

    def mutate(content: bytes, limit: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.15:
            return atheris.Mutate(content, limit)
        if not content or rng.random() < 0.02:
            content = rng.choice(target.seeds)
        return target.mutate(content, rng)[:limit]

    options = [
        f'-runs={args.runs}',
        f'-max_total_time={args.seconds}',
        f'-timeout={args.timeout}',
        f'-seed={args.seed}',
        f'-artifact_prefix={args.keep}/{name}-',
        '-max_len=65536',
        '-rss_limit_mb=8192',
        '-len_control=0',
    ]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    atheris.Setup([sys.argv[0], *options, str(corpus)], read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
