"""The command ``epsanet`` and the scripts of ``tools``.

Importing ``epsanet_mmdet`` takes seconds, because it registers everything. Help, completion and
mistakes on the command line need none of it, so modules here import it inside functions only.
"""
