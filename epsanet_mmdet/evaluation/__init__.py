"""Evaluation with COCO's metrics, and reports of one test or many."""

from ..utils.page import Section, render_page
from .comparing import TestedRun, comparison_page
from .report import report_results, report_test

__all__ = [
    'Section',
    'TestedRun',
    'comparison_page',
    'render_page',
    'report_results',
    'report_test',
]
