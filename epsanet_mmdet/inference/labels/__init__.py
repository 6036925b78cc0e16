"""Detections as labels for annotation tools, where people correct them."""

from .formats import IMAGE_URL, LABEL_FORMATS, LabelFiles, check_label_options

__all__ = ['IMAGE_URL', 'LABEL_FORMATS', 'LabelFiles', 'check_label_options']
