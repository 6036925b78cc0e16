"""The fusions of two feature maps, by the names that configs use."""

from .aff import AFF, IAFF, DirectAddFusion
from .aff_variants import GatedSumFusion, PointwiseAFF, RefinementFusion
from .checks import check_choice

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
    check_choice(owner, 'fusion', name, FUSIONS)
