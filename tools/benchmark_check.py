"""The old name of benchmarks/dataset_check.py."""

from _moved import run_benchmark

if __name__ == '__main__':
    run_benchmark('dataset_check.py')
