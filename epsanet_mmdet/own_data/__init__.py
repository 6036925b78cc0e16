"""Your own data sets: reading their formats, checking and repairing them, writing configs."""
