"""What has no part of detection in it: files, text, devices, measurements."""
