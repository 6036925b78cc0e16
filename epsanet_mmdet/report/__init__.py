"""A page about a test run: metrics, curves, confusions, and the worst pictures."""

from .build import report_results, report_test
from .page import Section, render_page

__all__ = ['Section', 'render_page', 'report_results', 'report_test']
