"""Parts of ``tools/setup_env.py``, which need only Python's standard library."""
