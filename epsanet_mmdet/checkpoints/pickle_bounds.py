"""Bounds on the time, memory and stack that reading a checkpoint may take.

torch's restricted unpickler keeps a pickle from running code, not from asking for terabytes, for
the hash of a tuple of 2**60 leaves, or for a stack as deep as the file is long. Here the pickle
is followed with sizes in place of values before torch sees it, and its result is measured.
"""

import _compat_pickle
import pickle
import pickletools
from typing import Any, BinaryIO, Collection, Dict, List, Optional, Set

import torch
from mmengine.logging import HistoryBuffer

DEPTH = 64  # nested containers
SHARED = 10_000_000  # leaves of tuples that are used again
REPEATED = 2_000_000  # values of containers that are used again
UNUSUAL_KEYS = 1000  # tuples, huge numbers and such, whose hashes can be made to collide
HUGE = 2**63
BUFFER = 2**20  # bytes that a pickle may ask for without having them
SLACK = 2**20  # bytes of a tensor beyond those of the file
CODECS = ('latin1', 'latin-1', 'ascii', 'utf-8', 'utf8')
HASHING = ('builtins.set', 'collections.Counter', 'collections.OrderedDict')


class ExcessError(pickle.UnpicklingError):
    """A checkpoint that asks for more than its bytes can stand for; it says of what."""


class _Node:
    """What is known of an object: its kind, its value if that matters, its size and depth."""

    __slots__ = ('depth', 'kind', 'size', 'value')

    def __init__(self, kind: str, value: Any = None, size: int = 1, depth: int = 0) -> None:
        self.kind, self.value, self.size, self.depth = kind, value, size, depth


def check_pickle(file: BinaryIO, storages: Optional[Dict[str, int]], size: int) -> None:
    """Follow one pickle, and leave the file behind it.

    A pickle that is no pickle, or does what torch refuses, is left to torch to refuse.

    Args:
        file: The pickle.
        storages: Bytes of each storage in the checkpoint; None if they follow in the file.
        size: Bytes of the whole checkpoint.

    Raises:
        ExcessError: If it asks for more memory, time or stack than its bytes can stand for.
        UnpicklingError: If it names a storage that the file does not have, as when it is cut off.
    """
    follower = _Follower(storages, size)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            step = getattr(follower, f'on_{opcode.name.lower()}', None)
            if step is None:
                kind, value = _scalar(opcode, argument)
                if kind is None:
                    return  # torch does not know this operation either
                follower.push(_Node(kind, value))
            else:
                step(argument)
    except (ValueError, IndexError, KeyError, AttributeError):
        return


class _Follower:
    def __init__(self, storages: Optional[Dict[str, int]], size: int) -> None:
        self.stack: List[_Node] = []
        self.marks: List[List[_Node]] = []
        self.memo: Dict[int, _Node] = {}
        self.storages, self.size = storages, size
        self.asked: Dict[str, int] = {}
        self.shared = self.unusual = self.total = 0

    def push(self, node: _Node) -> None:
        self.stack.append(node)

    def pop_mark(self) -> List[_Node]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def on_proto(self, _) -> None:
        pass

    on_stop = on_proto

    def on_mark(self, _) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def memoize(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    on_binput = on_long_binput = memoize

    def on_binget(self, index: int) -> None:
        node = self.memo[index]
        self.shared += node.size - 1
        if self.shared > SHARED:
            raise ExcessError('its tuples repeat one another without end')
        self.push(node)

    on_long_binget = on_binget

    def on_global(self, argument: str) -> None:
        module, _, name = argument.partition(' ')
        if (module, name) in _compat_pickle.NAME_MAPPING:
            module, name = _compat_pickle.NAME_MAPPING[module, name]
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        self.push(_Node('global', f'{module}.{name}'))

    def on_empty_tuple(self, _) -> None:
        self.push(_Node('tuple', []))

    def make_tuple(self, items: List[_Node]) -> None:
        size = 1 + sum(item.size for item in items)
        depth = 1 + max((item.depth for item in items), default=0)
        if depth > DEPTH:
            raise ExcessError(f'its tuples are nested more than {DEPTH} deep')
        self.push(_Node('tuple', items[:6], size, depth))

    def on_tuple(self, _) -> None:
        self.make_tuple(self.pop_mark())

    def take(self, count: int) -> List[_Node]:
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def on_tuple1(self, _) -> None:
        self.make_tuple(self.take(1))

    def on_tuple2(self, _) -> None:
        self.make_tuple(self.take(2))

    def on_tuple3(self, _) -> None:
        self.make_tuple(self.take(3))

    def on_empty_list(self, _) -> None:
        self.push(_Node('list', 0))

    def on_empty_dict(self, _) -> None:
        self.push(_Node('dict', 0))

    on_empty_set = on_empty_dict

    def on_append(self, _) -> None:
        item = self.stack.pop()
        self.fill(self.stack[-1], [item])

    def on_appends(self, _) -> None:
        items = self.pop_mark()
        self.fill(self.stack[-1], items)

    def fill(self, target: _Node, items: List[_Node]) -> None:
        if target.kind == 'list':
            inner = sum(item.value for item in items if item.kind == 'list')
            target.value += inner + sum(map(_hash_is_unusual, items))

    def on_setitem(self, _) -> None:
        _, key = self.stack.pop(), self.stack.pop()
        self.hash(_hash_is_unusual(key))

    def on_setitems(self, _) -> None:
        for key in self.pop_mark()[::2]:
            self.hash(_hash_is_unusual(key))

    def hash(self, count: int) -> None:
        self.unusual += count
        if self.unusual > UNUSUAL_KEYS:
            raise ExcessError(f'more than {UNUSUAL_KEYS} of its keys are no text or small numbers')

    def on_build(self, _) -> None:
        self.stack.pop()

    def on_reduce(self, _) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if function.kind in ('tuple', 'list', 'dict'):  # torch would print it all
            raise ExcessError(f'it calls a {function.kind}')
        self.push(self.result(function, arguments))

    on_newobj = on_reduce

    def result(self, function: _Node, arguments: _Node) -> _Node:
        if arguments.kind != 'tuple':
            raise ExcessError('it calls a function with something else than a tuple')
        given = arguments.value
        name = function.value if function.kind == 'global' else ''
        if name == 'builtins.bytearray' and any(_over(BUFFER, item) for item in given):
            raise ExcessError(f'it asks for a buffer of more than {BUFFER} bytes')
        if name == '_codecs.encode' and not all(item.value in CODECS for item in given[1:]):
            raise ExcessError('it encodes text as something else than text')
        if given and (name.startswith('torch.') and name.endswith(('Tensor', 'Storage'))):
            raise ExcessError(f'it asks for a new {name}')
        if name == 'torch._utils._rebuild_nested_tensor':
            raise ExcessError('it holds nested tensors, whose sizes torch does not check')
        if name in HASHING:
            self.hash(sum(item.value for item in given if item.kind == 'list'))
            self.hash(sum(item.size for item in given if item.kind == 'tuple'))
        if name == 'torch.Size':
            return _Node('size', None, arguments.size, arguments.depth)
        return _Node('object')

    def on_binpersid(self, _) -> None:
        given = self.stack.pop()
        parts = given.value if given.kind == 'tuple' else []
        kinds = [part.kind for part in parts]
        if kinds[:5] != ['text', 'global', 'text', 'text', 'int'] or parts[0].value != 'storage':
            raise ExcessError('it refers to something else than a storage')
        key = parts[2].value
        asked = parts[4].value * _item_size(parts[1].value)
        if asked < 0:
            raise ExcessError('it has a storage of negative size')
        self.total += max(0, asked - self.asked.get(key, 0))
        self.asked[key] = max(asked, self.asked.get(key, 0))
        there = self.size if self.storages is None else self.storages.get(key, 0)
        if asked > there or self.total > self.size:
            raise pickle.UnpicklingError(
                f"storage '{key}' is of {asked} bytes, which the file does not have"
            )
        self.push(_Node('object'))


def _scalar(opcode, argument):
    if opcode.name in ('BININT', 'BININT1', 'BININT2', 'LONG1'):
        return 'int', argument
    if opcode.name in ('BINUNICODE', 'SHORT_BINSTRING'):
        return 'text', argument
    if opcode.name in ('NONE', 'NEWTRUE', 'NEWFALSE', 'BINFLOAT'):
        return 'plain', None
    return None, None


def _hash_is_unusual(key: _Node) -> bool:
    return key.kind not in ('text', 'int', 'plain', 'list', 'global') or _over(HUGE, key)


def _over(limit: int, node: _Node) -> bool:
    return node.kind == 'int' and abs(node.value) >= limit


def _item_size(storage: str) -> int:
    types = torch.storage._storage_type_to_dtype_map()
    dtype = types.get(storage.rpartition('.')[2])
    return dtype.itemsize if dtype is not None else 1


def check_size(loaded: Any, size: int) -> None:
    """Measure what was loaded, as one that walks through it would.

    Args:
        loaded: The checkpoint.
        size: Bytes of its file.

    Raises:
        ExcessError: If containers hold themselves, are nested too deep or repeat too often, or
            a tensor claims more elements than the file can have.
    """
    seen: Set[int] = set()
    again = 0
    waiting = [iter([loaded])]
    while waiting:
        for item in waiting[-1]:
            if isinstance(item, torch.Tensor):
                _check_tensor(item, size)
            inner = _items(item)
            if inner is not None:
                if id(item) in seen:
                    again += 1 + len(inner)
                seen.add(id(item))
                waiting.append(iter(inner))
                break
        else:
            waiting.pop()
        if len(waiting) > DEPTH:
            raise ExcessError(f'its containers are nested more than {DEPTH} deep')
        if again > REPEATED:
            raise ExcessError('its containers repeat one another without end')


def _items(item: Any) -> Optional[Collection]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, (list, tuple, set)):
        return item
    if isinstance(item, HistoryBuffer):
        return list(vars(item).values())
    return None


def _check_tensor(tensor: torch.Tensor, size: int) -> None:
    if tensor.layout is torch.strided and tensor.numel() * tensor.element_size() > size + SLACK:
        raise ExcessError(f'a tensor claims {tensor.numel()} elements, more than the file can have')
