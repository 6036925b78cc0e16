"""Data sets of one's own: reading their formats, checking, repairing, writing configs."""
