"""Time and memory of networks, measured side by side."""

from ..moved import renamed
from .command import run_benchmark
from .expectation import Expectation, check_expectations, parse_expectation
from .measurement import Measurement, measure
from .memory import activation_bytes, peak_bytes
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
    'activation_bytes',
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
    'time_interleaved',
]
__getattr__ = renamed(__name__, saved_bytes='benchmark.memory.activation_bytes')
