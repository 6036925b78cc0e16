"""The fusions of two feature maps, by the names that configs use."""

from ..errors import ArgumentError
from .aff import AFF, IAFF, DirectAddFusion
from .aff_variants import GatedSumFusion, PointwiseAFF, RefinementFusion

FUSIONS = {
    'add': DirectAddFusion,
    'aff': AFF,
    'iaff': IAFF,
    'pointwise': PointwiseAFF,
    'refine': RefinementFusion,
    'gate': GatedSumFusion,
}


def check_fusion(owner: str, name: str) -> None:
    """Raise an ArgumentError that lists the fusions, unless there is one of this name."""
    if name not in FUSIONS:
        options = ', '.join(map(repr, FUSIONS))
        raise ArgumentError(f'{owner} has no fusion={name!r}; choose one of {options}')
