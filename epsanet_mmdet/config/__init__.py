"""Load, check, change and write configs, and build models from them."""
