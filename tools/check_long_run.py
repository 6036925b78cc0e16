"""The old name of benchmarks/long_run.py."""

from _moved import run_benchmark

if __name__ == '__main__':
    run_benchmark('long_run.py')
