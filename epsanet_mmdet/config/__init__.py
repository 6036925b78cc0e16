"""Configs: loading, options, and values that come from data sets."""
