"""Why a detector found an object, and what its attention layers weighed."""

from .run import explain_to_folder

__all__ = ['explain_to_folder']
