"""What reads a checkpoint: the types it may hold, and the process that opens untrusted files.

Nothing here imports another part of the package, since that would take the process seconds.
"""
