"""The types that a checkpoint may hold, and the child process that opens untrusted files.

Nothing here imports another part of the package, which would delay the process by seconds.
"""
