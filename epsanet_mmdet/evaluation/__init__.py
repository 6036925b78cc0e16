"""Pages about a test run, or about many: metrics, curves, confusions, and the worst pictures."""

from .build import report_results, report_test
from .comparing import TestedRun, comparison_page
from .page import Section, render_page

__all__ = [
    'Section',
    'TestedRun',
    'comparison_page',
    'render_page',
    'report_results',
    'report_test',
]
