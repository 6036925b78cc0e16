"""Load a run's own checkpoints without running code from them.

torch's restricted unpickler refuses what mmengine <= 0.10.7 puts in its checkpoints, and OneDL's
mmengine 0.10.12 falls back to an unrestricted load. Here a list of harmless types is added to
torch's; users may add more with ``torch.serialization.add_safe_globals``. Files that this run did
not write are loaded by :func:`~epsanet_mmdet.checkpoint.untrusted.load_untrusted`.
"""

import functools
from collections import OrderedDict, defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Dict, Tuple, Union

import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from ..errors import CheckpointError
from ..utils.files import open_regular
from .reader import harmless
from .safetensors_files import SUFFIX

torch_load = torch.serialization.load  # not torch.load, which other programs patch
ZIP, OLD_FORMAT = b'PK\x03\x04', b'\x80\x02\x8a\n'  # the first bytes of a file


class _History(HistoryBuffer):
    """Stand-in for a ``HistoryBuffer`` that is being loaded.

    The real one registers the statistics named in the file for the whole class.
    """

    def __setstate__(self, state: Dict[str, Any]) -> None:
        state.pop('statistics_methods', None)
        vars(self).update(state)
        self.__class__ = HistoryBuffer


OWNERS = {harmless.HISTORY: HistoryBuffer, harmless.ONE_CYCLE: OneCycleParamScheduler}
HARMLESS = harmless.harmless_types(
    _History, ConfigDict, lambda owner, name: getattr(OWNERS[owner], name)
)
torch.serialization.add_safe_globals(HARMLESS)


def restricted_load(file: Union[str, Path, BinaryIO], map_location: Any = None, **_: Any) -> Any:
    """Load a checkpoint that this run wrote, with everything needed to resume.

    Only torch's own types, :func:`~.reader.harmless.harmless_types` and those that the user added
    with ``torch.serialization.add_safe_globals`` are rebuilt. Memory and time are not limited.
    The config that mmengine stores as text is dropped, since mmengine would run it.

    Args:
        file: Path or file object.
        map_location: See ``torch.load``.

    Raises:
        CheckpointError: If the file is damaged, calls anything else, or holds weights only.
        FileNotFoundError: If the file does not exist.
    """
    is_open = hasattr(file, 'read')
    source = getattr(file, 'name', 'the checkpoint') if is_open else file
    _check_restricted()
    _allow_registered_statistics()
    with nullcontext(file) if is_open else open_checkpoint(file) as stream:
        start = stream.tell()
        head = stream.read(4)
        stream.seek(start)
        if head != ZIP and str(source).endswith(SUFFIX):
            raise CheckpointError(
                f'{source} holds weights only, nothing to resume from; start from it with load_from'
            )
        if head == OLD_FORMAT:
            raise CheckpointError(
                f"{source} is in torch's format before 1.6, which may lack parts; load it as "
                'weights, for example with load_from'
            )
        try:
            checkpoint = torch_load(stream, map_location=map_location, weights_only=True)
            checkpoint = _finished(checkpoint, {})
        except Exception as error:  # damaged bytes raise all kinds of errors inside torch
            raise CheckpointError(f'{source} {harmless.explain(error)}') from error
    drop_config_text(checkpoint)
    return checkpoint


def open_checkpoint(path: Union[str, Path]) -> BinaryIO:
    """Open a checkpoint for reading.

    Raises:
        CheckpointError: If it is a folder, a pipe or a device, or there is no permission.
        FileNotFoundError: If it does not exist.
    """
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(
            f'{path} cannot be read ({error.strerror}); name a .pth or .safetensors file that you '
            'may read'
        ) from None


@functools.cache
def _check_restricted() -> None:
    if not harmless.is_restricted(torch_load):
        raise CheckpointError(
            'torch.serialization.load is replaced by a function that runs code from checkpoints; '
            'remove the replacement, or import epsanet_mmdet first'
        )


def _allow_registered_statistics() -> None:
    """Allow a pickled ``HistoryBuffer`` to name the statistics that this program registered."""
    for method in HistoryBuffer._statistics_methods.values():
        if getattr(HistoryBuffer, method.__name__, None) is not method:
            _allow_to_mention(f'{method.__module__}.{method.__qualname__}')


@functools.cache
def _allow_to_mention(name: str) -> None:
    torch.serialization.add_safe_globals([(harmless.Name(name), name)])


def _finished(value: Any, done: Dict[int, Tuple[Any, Any]]) -> Any:
    """Return a loaded value with each ``defaultdict`` restored and sparse tensors checked."""
    if id(value) in done:
        return done[id(value)][1]
    done[id(value)] = value, value
    if isinstance(value, torch.Tensor) and value.layout != torch.strided:
        _check_sparse(value)
    elif isinstance(value, list):
        value[:] = [_finished(item, done) for item in value]
    elif type(value) is tuple:
        finished = tuple(_finished(item, done) for item in value)
        if any(new is not old for new, old in zip(finished, value)):
            done[id(value)] = value, finished
    elif type(value) in (dict, OrderedDict):
        is_default = 'default_factory' in getattr(value, '__dict__', ())
        finished = defaultdict(harmless.factory_of(value)) if is_default else value
        done[id(value)] = value, finished
        for key, item in list(value.items()):
            finished[key] = _finished(item, done)
    return done[id(value)][1]


def _check_sparse(value: torch.Tensor) -> None:
    """Raise a RuntimeError if indices of a sparse tensor are out of range."""
    if value.layout == torch.sparse_coo:
        parts = value._indices(), value._values()
        torch.sparse_coo_tensor(*parts, value.shape, check_invariants=True)
        return
    by_row = value.layout in (torch.sparse_csr, torch.sparse_bsr)
    starts, others = ('crow', 'col') if by_row else ('ccol', 'row')
    parts = (getattr(value, f'{name}_indices')() for name in (starts, others))
    torch.sparse_compressed_tensor(
        *parts, value.values(), value.shape, layout=value.layout, check_invariants=True
    )


def drop_config_text(checkpoint: Any) -> None:
    """Drop configs stored as Python text, which mmengine would run."""
    if not isinstance(checkpoint, dict):
        return
    hub = checkpoint.get('message_hub')
    info = hub.get('runtime_info') if isinstance(hub, dict) else None
    for holder in (checkpoint.get('meta'), info):
        if isinstance(holder, dict):
            for name in ('cfg', 'config'):
                holder.pop(name, None)
