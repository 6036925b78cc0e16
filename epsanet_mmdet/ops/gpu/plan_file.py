"""Plans that were measured on a user's GPU, in the file that ``EPSANET_GPU_PLANS`` names.

The processes of a run read one file, so that they choose alike. A file that was measured on another
GPU or by other versions, or that is not valid, is ignored with one warning.
"""

import functools
import hashlib
import os
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Annotated, List, Optional

import msgspec
import torch
from torch.utils import collect_env

from ...utils.environment import installed_version
from ...utils.storage import write_json
from .blocking import Blocking
from .plan import ConvPlan, ConvShape
from .tiles import ConvTile, PointwiseTile

VARIABLE = 'EPSANET_GPU_PLANS'
REMEDY = 'tune again, or unset EPSANET_GPU_PLANS'
SIMILAR = 1.5  # a plan is used for as many pixels, or for up to this factor more or fewer

Count = Annotated[int, msgspec.Meta(ge=1, le=2**40)]


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What measured plans depend on."""

    gpu: str
    driver: str
    torch: str
    cuda: str
    triton: str
    source: str


class TunedConv(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The plan of a convolution: its shape, its blocking and its tile."""

    precision: str
    inputs: Count
    outputs: Count
    size: Count
    groups: Count
    stride: Count
    dilation: Count
    pixels: Count
    merged: Count
    split: Count
    rows: Count
    columns: Count
    blocks: Count
    depth: Count
    warps: Count
    stages: Count

    @property
    def shape(self) -> ConvShape:
        """The convolution."""
        return _part(self, ConvShape)

    @property
    def plan(self) -> ConvPlan:
        """The plan."""
        return ConvPlan(_part(self, Blocking), _part(self, ConvTile))

    def __post_init__(self) -> None:
        divides = self.outputs % self.groups == 0 and self.inputs % self.groups == 0
        divides = divides and self.groups % self.merged == 0
        if not divides or self.outputs // self.merged % self.split or self.size % 2 == 0:
            raise ValueError('the groups and products of a convolution do not divide its channels')
        tile = [self.rows, self.columns, self.blocks, self.depth, self.warps]
        _check_tile(*tile, self.outputs // (self.merged * self.split), self.inputs // self.merged)
        columns = self.rows * self.columns * self.outputs // (self.merged * self.split)
        _check_sides(self.blocks, columns, self.depth, self.warps, self.stages)


class TunedPointwise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tile of a 1x1 convolution; ``columns`` are output channels of a tile."""

    precision: str
    inputs: Count
    outputs: Count
    pixels: Count
    rows: Count
    columns: Count
    depth: Count
    warps: Count
    stages: Count

    @property
    def plan(self) -> PointwiseTile:
        """The tile."""
        return PointwiseTile(self.rows, self.columns, self.depth, self.warps, self.stages)

    def __post_init__(self) -> None:
        if self.inputs % self.depth or self.outputs % self.columns:
            raise ValueError('the tile of a 1x1 convolution does not divide its channels')
        _check_tile(self.rows, self.columns, self.depth, self.warps)
        _check_sides(self.rows, self.columns, self.depth, self.warps, self.stages)


class Plans(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a file."""

    key: Key
    convs: List[TunedConv] = []
    pointwise: List[TunedPointwise] = []


class Table:
    """Plans by what they are for.

    Args:
        plans: The plans.
    """

    def __init__(self, plans: Plans) -> None:
        self.convs, self.pointwise = defaultdict(list), defaultdict(list)
        for conv in plans.convs:
            self.convs[conv.shape, conv.precision].append(conv)
        for tuned in plans.pointwise:
            self.pointwise[tuned.inputs, tuned.outputs, tuned.precision].append(tuned)

    def conv(self, shape: ConvShape, pixels: int, precision: str) -> Optional[ConvPlan]:
        """Return the plan of a convolution, if it was measured for a similar number of pixels."""
        return _nearest(self.convs.get((shape, precision)), pixels)

    def tile(
        self, pixels: int, inputs: int, outputs: int, precision: str
    ) -> Optional[PointwiseTile]:
        """Return the tile of a 1x1 convolution, likewise."""
        return _nearest(self.pointwise.get((inputs, outputs, precision)), pixels)


def measured_plans(device: Optional[torch.device]) -> Optional[Table]:
    """Return the measured plans of a GPU, or None if there are none."""
    path = os.environ.get(VARIABLE)
    if not path or device is None or device.type != 'cuda':
        return None
    return _read_once(path, device)


def read_plans(path: str, key: Key) -> Optional[Plans]:
    """Return the plans in a file, or None and a warning if they cannot be used.

    Args:
        path: The file.
        key: The key of the plans that can be used.
    """
    try:
        plans = msgspec.json.decode(Path(path).read_bytes(), type=Plans)
    except (OSError, UnicodeError, RecursionError, msgspec.MsgspecError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return _warn(path, str(reason).splitlines()[0])
    for name in Key.__struct_fields__:
        found, here = getattr(plans.key, name), getattr(key, name)
        if found != here:
            what = 'other kernels' if name == 'source' else f'{name} {found!r}; here it is {here!r}'
            return _warn(path, f'it was measured with {what}')
    return plans


def write_plans(plans: Plans, path: str) -> None:
    """Write a file whole, and let this process read it anew."""
    write_json(msgspec.to_builtins(plans), path)
    forget_plans()


def forget_plans() -> None:
    """Let this process read files anew."""
    _read_once.cache_clear()


@functools.cache
def key_of(device: torch.device) -> Key:
    """Return the key of plans that are measured on a GPU now."""
    return Key(
        gpu=torch.cuda.get_device_name(device),
        driver=collect_env.get_nvidia_driver_version(collect_env.run) or '',
        torch=torch.__version__,
        cuda=torch.version.cuda or '',
        triton=installed_version('triton') or '',
        source=source_hash(),
    )


def source_hash(folder: Path = Path(__file__).parent) -> str:
    """Return a hash of the source of the kernels."""
    files = sorted(folder.glob('*.py'))
    kernels = [content for content in map(Path.read_bytes, files) if b'\n@triton.jit' in content]
    return hashlib.sha256(b''.join(kernels)).hexdigest()[:16]


@functools.cache
def _read_once(path: str, device: torch.device) -> Optional[Table]:
    plans = read_plans(path, key_of(device))
    return None if plans is None else Table(plans)


def _warn(path: str, reason: str) -> None:
    warnings.warn(f"GPU plans '{path}' are ignored: {reason}; {REMEDY}", stacklevel=2)


def _nearest(found: Optional[list], pixels: int):
    def factor(tuned) -> float:
        return max(tuned.pixels, pixels) / min(tuned.pixels, pixels)

    best = min(found or (), key=factor, default=None)
    return best.plan if best and factor(best) <= SIMILAR else None


def _part(tuned: TunedConv, of: type):
    return of(*(getattr(tuned, name) for name in of._fields))


def _check_tile(*sides: int) -> None:
    for side in sides:
        if side & (side - 1):
            raise ValueError(f'a side of a tile is {side}; it must be a power of 2')


def _check_sides(rows: int, columns: int, depth: int, warps: int, stages: int) -> None:
    if not (16 <= rows <= 256 and 16 <= columns <= 256 and 16 <= depth <= 128):
        raise ValueError(f'a tile is {rows}x{columns}x{depth}; sides are 16 to 256, depths to 128')
    if warps > 16 or stages > 8:
        raise ValueError(f'a tile has {warps} warps and {stages} stages; at most 16 and 8 work')
