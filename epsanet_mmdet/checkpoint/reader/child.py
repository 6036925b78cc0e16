"""The process that opens one untrusted checkpoint and writes it as safetensors.

It is started as ``python child.py JOB``, where JOB is :class:`Job` as JSON, and prints one line of
JSON if it refuses the file. Tensors are numbered; everything else goes into the metadata of the
safetensors file as :func:`encode` writes it, without optimizer state and objects of other types.
"""

import datetime
import json
import os
import pickle
import sys
from argparse import Namespace
from collections import OrderedDict
from pathlib import PurePath
from typing import Any, Dict, NamedTuple

import harmless  # from this folder: importing it from the package would take seconds
import numpy as np
import torch
from safetensors.torch import save_file

try:
    import resource
except ImportError:  # on Windows, where the parent's time limit is the only one
    resource = None

STATE = (  # top-level keys that only a resumed training needs
    'optimizer', 'optimizers', 'optimizer_states', 'optimizer_state_dict', 'optim', 'scaler',
    'param_schedulers', 'lr_scheduler', 'lr_schedulers', 'scheduler', 'amp',
)  # fmt: skip
DEPTH = 200  # nested containers
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
DROPPED = object()


class Job(NamedTuple):
    """The file to read and its limits, which count from before it is opened."""

    source: str
    out: str  # safetensors file to write
    memory: int  # bytes; the limit of what is written, too
    seconds: int  # of CPU time


class Refused(Exception):
    """A file that cannot be used, and the reason."""


class History:
    """Stand-in for mmengine's ``HistoryBuffer``, which is left out."""

    def __setstate__(self, state: Any) -> None:
        pass


def limit(job: Job) -> None:
    """Limit the memory, CPU time and output of this process from now on."""
    if resource is None:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(usage.ru_utime + usage.ru_stime) + job.seconds
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_FSIZE, job.memory)
    _limit(resource.RLIMIT_CORE, 0)
    try:
        with open('/proc/self/statm') as file:
            pages = int(file.read().split()[0])
    except OSError:  # macOS, which takes no limit on memory either
        return
    _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + job.memory)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def read(source: str) -> Any:
    """Read a checkpoint with torch's restricted unpickler.

    It may mention any name without calling it: classes as keys, or the functions that mmengine's
    logging buffers refer to.
    """
    types = harmless.harmless_types(
        History, dict, lambda owner, name: harmless.Name(f'{owner}.{name}')
    )
    torch.serialization.add_safe_globals(types)
    torch.sparse.check_sparse_tensor_invariants.enable()
    if not harmless.is_restricted(torch.load):
        raise Refused('is not opened: torch.load is replaced by one that runs code from files')
    with open(source, 'rb') as file:
        is_zip = file.read(4) == b'PK\x03\x04'  # the test that torch uses
    if is_zip:
        others = torch.serialization.get_unsafe_globals_in_checkpoint(source)
        torch.serialization.add_safe_globals([(harmless.Name(name), name) for name in others])
    content = torch.load(source, map_location='cpu', weights_only=True)
    if not is_zip:
        check_storages(source)
    return content


class Outline(pickle.Unpickler):
    """Follows a pickle without building its objects, and collects the storages that it needs."""

    class Anything:
        """Stand-in for any object of the pickle."""

        def __new__(cls, *args: Any, **kwargs: Any) -> 'Outline.Anything':
            return object.__new__(cls)

        def __setstate__(self, state: Any) -> None:
            pass

        def __setitem__(self, key: Any, value: Any) -> None:
            pass

        def append(self, item: Any) -> None:
            pass

    def find_class(self, module: str, name: str) -> type:
        return self.Anything

    def persistent_load(self, pid: tuple) -> 'Outline.Anything':
        self.storages.add(pid[2])
        return self.Anything()


def check_storages(source: str) -> None:
    """Refuse a file in torch's format before 1.6 that lacks storages, which would be arbitrary."""
    with open(source, 'rb') as file:
        parts = []
        for _ in range(5):  # magic number, protocol, machine, content, and the storages' keys
            outline = Outline(file, encoding='utf-8')
            outline.storages = set()
            parts.append((outline, outline.load()))
    if not parts[3][0].storages <= set(parts[4][1]):
        raise Refused('is damaged: it lacks the numbers of some tensors; get it again')


def encode(value: Any, tensors: Dict[str, torch.Tensor], where: str = '', depth: int = 0) -> Any:
    """Return a value as JSON, such as ``['list', 1, ['tensor', '0']]``.

    Args:
        value: The value.
        tensors: Collects number and content of each tensor, by the id of the object.
        where: Name of the value, for errors.
        depth: Number of containers around it.

    Returns:
        The JSON, or :data:`DROPPED` for objects that have none.
    """
    if depth > DEPTH:
        raise Refused(f'is refused: its containers are nested more than {DEPTH} deep')
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, torch.Tensor):
        if id(value) not in tensors:
            tensors[id(value)] = str(len(tensors)), plain(value, where)
        return ['tensor', tensors[id(value)][0]]
    if isinstance(value, (np.generic, np.ndarray)):
        return encode(value.tolist(), tensors, where, depth + 1)
    if isinstance(value, (datetime.date, datetime.time, PurePath)):
        return str(value)
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():
            is_name = isinstance(key, str)
            if depth == 0 and is_name and key in STATE:
                continue
            inside = f'{where}{key if is_name else "?"}.'
            pair = [encode(part, tensors, inside, depth + 1) for part in (key, item)]
            if DROPPED not in pair:
                pairs.append(pair)
        return ['dict', versions(value), *pairs]
    if isinstance(value, (list, tuple, set, frozenset)):
        kind = 'tuple' if isinstance(value, (tuple, frozenset)) else 'list'  # as keys are
        items = (encode(item, tensors, f'{where}{i}.', depth + 1) for i, item in enumerate(value))
        return [kind, *(None if item is DROPPED else item for item in items)]
    return DROPPED


def versions(value: dict) -> Dict[str, int]:
    """Return the versions of the modules in a ``state_dict``, by name.

    Without a version, modules take it for an old one and rename its tensors.
    """
    metadata = getattr(value, '_metadata', None) if isinstance(value, OrderedDict) else None
    if not isinstance(metadata, dict):
        return {}
    return {
        name: facts['version']
        for name, facts in metadata.items()
        if isinstance(name, str) and isinstance(facts, dict) and type(facts.get('version')) is int
    }


def plain(value: torch.Tensor, where: str) -> torch.Tensor:
    """Return a tensor as safetensors stores it: dense, of plain numbers, in its own memory."""
    kind = (
        'quantised' if value.is_quantized
        else 'sparse' if value.layout != torch.strided
        else 'empty (meta)' if value.is_meta
        else '' if value.is_floating_point() or value.dtype in INTEGERS
        else f'of {value.dtype}'
    )  # fmt: skip
    if kind:
        raise Refused(
            f'has a tensor {where[:-1]:.200} that is {kind}; save it as plain numbers where it '
            'comes from'
        )
    return value.detach().clone(memory_format=torch.contiguous_format)


def run(job: Job) -> None:
    """Read a checkpoint within its limits and write it.

    Raises:
        Refused: If it cannot be used.
    """
    limit(job)
    try:
        tensors: Dict[int, tuple] = {}
        content = encode(read(job.source), tensors)
        if content is DROPPED:
            raise Refused('holds no weights; name a file with a state_dict')
        save_file(dict(tensors.values()), job.out, {'content': json.dumps(content)})
    except Refused:
        raise
    except RecursionError:
        raise Refused('is refused: its containers hold themselves, or are nested too deep')
    except OSError as error:
        name = os.path.dirname(job.out) if error.filename != job.source else job.source
        raise Refused(f'cannot be read: {name}: {error.strerror}')
    except BaseException as error:  # crafted bytes raise all kinds of errors inside torch
        raise Refused(harmless.explain(error))


if __name__ == '__main__':
    status = 0
    try:
        run(Job(**json.loads(sys.argv[1])))
    except Refused as error:
        print(json.dumps(str(error)), flush=True)
        status = 1
    os._exit(status)  # without Python's shutdown, in which torch rarely crashes
