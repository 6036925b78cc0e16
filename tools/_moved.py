"""Run scripts that moved to ``benchmarks`` under their old names."""

import runpy
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent / 'benchmarks'


def run_benchmark(name: str) -> None:
    """Run a script of ``benchmarks`` after a warning about its old name."""
    script = BENCHMARKS / name
    old = Path(sys.argv[0]).name
    if not script.is_file():
        sys.exit(f'{old} is now benchmarks/{name}, which needs a clone of the repository')
    print(f'{old} is deprecated; use benchmarks/{name}', file=sys.stderr)
    sys.path.insert(0, str(BENCHMARKS))  # as if the script itself had been started
    runpy.run_path(str(script), run_name='__main__')
