"""The old name of benchmarks/weight_transfer.py."""

from _moved import run_benchmark

if __name__ == '__main__':
    run_benchmark('weight_transfer.py')
