"""How fast networks are and how much memory they take, measured side by side."""

from .command import run_benchmark
from .expectation import Expectation, check_expectations, parse_expectation
from .measurement import Measurement, measure
from .memory import peak_bytes, saved_bytes
from .networks import BACKBONES, OPTIONS, build_network
from .passes import PRECISIONS, Input, parse_input
from .published_psa import PublishedPSA, published_formulation
from .table import as_json, format_tables
from .timing import Timing, time_interleaved

__all__ = [
    'BACKBONES',
    'Expectation',
    'Input',
    'Measurement',
    'OPTIONS',
    'PRECISIONS',
    'PublishedPSA',
    'Timing',
    'as_json',
    'build_network',
    'check_expectations',
    'format_tables',
    'measure',
    'parse_expectation',
    'parse_input',
    'peak_bytes',
    'published_formulation',
    'run_benchmark',
    'saved_bytes',
    'time_interleaved',
]
