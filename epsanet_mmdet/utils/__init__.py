"""Files, text, devices and measurements: nothing here depends on detection."""
