"""Loading a run's own checkpoints, running no code from them.

torch's restricted unpickler refuses what mmengine <= 0.10.7 puts in its checkpoints, and OneDL's
mmengine 0.10.12 falls back to an unrestricted load. Here a list of harmless types is added to
torch's, which then refuses anything else, and to it the user may add more by
``torch.serialization.add_safe_globals``. What this run did not write itself goes to
:func:`~epsanet_mmdet.checkpoint.untrusted.load_untrusted`.
"""

import functools
from collections import OrderedDict, defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, Tuple, Union

import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from ..errors import CheckpointError
from .reader import harmless
from .safetensors_files import SUFFIX, check_file

torch_load = torch.serialization.load  # not torch.load, which people replace
ZIP, OLD_FORMAT = b'PK\x03\x04', b'\x80\x02\x8a\n'  # the first bytes of a file
OWNERS = {harmless.HISTORY: HistoryBuffer, harmless.ONE_CYCLE: OneCycleParamScheduler}
HARMLESS = harmless.harmless_types(
    HistoryBuffer,
    ConfigDict,
    {
        f'{owner}.{name}': getattr(OWNERS[owner], name)
        for owner, names in harmless.FUNCTIONS.items()
        for name in names
    },
)
torch.serialization.add_safe_globals(HARMLESS)


def restricted_load(file: Union[str, Path, BinaryIO], map_location: Any = None, **_: Any) -> Any:
    """Load a checkpoint that this run wrote, with all that it needs to resume.

    Only torch's types, :func:`~.reader.harmless.harmless_types` and those that the user added by
    ``torch.serialization.add_safe_globals`` are rebuilt. Nothing limits the memory and time that
    the file takes. The config that mmengine stores as text is left out: it would be run.

    Args:
        file: Path or file object.
        map_location: As in ``torch.load``.

    Raises:
        CheckpointError: If the file is damaged, tries to call something else, or holds weights
            alone.
        FileNotFoundError: If there is no such file.
    """
    source = getattr(file, 'name', 'the checkpoint') if hasattr(file, 'read') else file
    _check_restricted()
    with _opened(file) as stream, _kept_statistics():
        start = stream.tell()
        head = stream.read(4)
        stream.seek(start)
        if head != ZIP and str(source).endswith(SUFFIX):
            raise CheckpointError(
                f'{source} holds weights alone, nothing to resume from; start from it by load_from'
            )
        if head == OLD_FORMAT:
            raise CheckpointError(
                f"{source} is in torch's format before 1.6, of which parts may be missing; load "
                'it as weights, such as by load_from'
            )
        try:
            checkpoint = torch_load(stream, map_location=map_location, weights_only=True)
            checkpoint = _finished(checkpoint, {})
        except Exception as error:  # whatever damaged bytes lead to inside torch
            raise CheckpointError(f'{source} {harmless.explain(error)}') from error
    drop_config_text(checkpoint)
    return checkpoint


@functools.cache
def _check_restricted() -> None:
    if not harmless.is_restricted(torch_load):
        raise CheckpointError(
            'torch.serialization.load is replaced by a function that runs code from checkpoints; '
            'remove what replaces it, or import epsanet_mmdet before'
        )


@contextmanager
def _opened(file: Any) -> Iterator[BinaryIO]:
    if hasattr(file, 'read'):
        yield file
        return
    check_file(file)
    with open(file, 'rb') as stream:
        yield stream


@contextmanager
def _kept_statistics() -> Iterator[None]:
    """Keep a checkpoint from changing the statistics of ``HistoryBuffer``, and from calling them.

    A pickled buffer names all that are registered, and adds them to the class when it is loaded.
    """
    methods = HistoryBuffer._statistics_methods
    kept = {name: getattr(HistoryBuffer, name) for name in harmless.FUNCTIONS[harmless.HISTORY]}
    kept.update(methods)
    for method in kept.values():
        if getattr(HistoryBuffer, method.__name__, None) is not method:
            _allow_to_mention(f'{method.__module__}.{method.__qualname__}')
    try:
        yield
    finally:
        methods.update(kept)
        for name in methods.keys() - kept.keys():
            del methods[name]


@functools.cache
def _allow_to_mention(name: str) -> None:
    torch.serialization.add_safe_globals([(harmless.Name(name), name)])


def _finished(value: Any, done: Dict[int, Tuple[Any, Any]]) -> Any:
    """Return a loaded value with its ``defaultdict`` in place and its sparse tensors checked."""
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
    """Drop the configs stored as Python, which mmengine runs on resuming and inferring."""
    if not isinstance(checkpoint, dict):
        return
    hub = checkpoint.get('message_hub')
    info = hub.get('runtime_info') if isinstance(hub, dict) else None
    for holder in (checkpoint.get('meta'), info):
        if isinstance(holder, dict):
            for name in ('cfg', 'config'):
                holder.pop(name, None)
