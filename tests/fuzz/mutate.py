"""Format-aware mutations of files: random bytes alone rarely pass a checksum."""

import copy
import io
import json
import pickle
import pickletools
import random
import struct
import zipfile
import zlib
from typing import Any, Callable, Dict, List
from xml.etree import ElementTree

NUMBERS = (0, 1, -1, 2, 64, 255, 65536, 2**31 - 1, -(2**31), 2**32, 2**62, 2**63, 2**64, 10**30)
NASTY: List[Any] = [
    *NUMBERS,
    10**308,
    -(10**309),
    0.5,
    1e-300,
    1e308,
    float('nan'),
    float('inf'),
    -float('inf'),
    '',
    '0',
    'nan',
    '../../../etc/passwd',
    '/etc/passwd',
    '/dev/zero',
    '..\\..\\x',
    'C:\\x',
    'a\0b',
    '\ud800',
    'x' * 5000,
    '@digits',
    '@deep',
    'line\nline\x1b[31m',
    '{{7*7}}<script>',
    None,
    True,
    [],
    {},
    [[]],
    [{}],
    [None],
    [1, 2],
    [0, 0, 1e9, 1e9],
    [1, 2, 3, 4, 5, 6],
    [[1, 2, 3, 4, 5, 6]],
    [float('nan')] * 6,
    dict(size=[48, 64], counts='0'),
    dict(size=[48, 64], counts=[3072]),
    dict(size=[10**6, 10**6], counts=[10**12]),
    dict(size=[2**32, 2**32], counts='\x7f' * 20),
    dict(size=[48, 64], counts=[0, -5, 3077]),
]

OPERATIONS = [
    b'K\x01', b'J\xff\xff\xff\x7f', b'J\x00\x00\x00\x80', b'\x8a\x08' + b'\xff' * 7 + b'\x7f',
    b'N', b'\x88', b'\x89', b')', b']', b'}', b'\x8f', b'(', b't', b'\x85', b'\x86', b'\x87',
    b'R', b'\x81', b'b', b'a', b'e', b's', b'u', b'Q', b'2', b'0', b'.', b'h\x00', b'h\x01',
    b'h\x05', b'q\x00', b'q\x05', b'X\x01\x00\x00\x00a', b'X\x04\x00\x00\x00mean', b'U\x01a',
    b'X\xff\xff\xff\xff', b'G\x7f\xf0\x00\x00\x00\x00\x00\x00', b'\x93', b'\x80\x04', b'C\x01a',
]  # fmt: skip
GLOBALS = [
    'torch Tensor', 'torch FloatStorage', 'torch.storage UntypedStorage', 'torch Size',
    'torch._utils _rebuild_tensor_v2', 'torch._utils _rebuild_tensor', 'torch._utils '
    '_rebuild_tensor_v3', 'torch._utils _rebuild_parameter', 'torch._utils _rebuild_qtensor',
    'torch._utils _rebuild_sparse_tensor', 'torch._utils _rebuild_nested_tensor',
    'torch._utils _rebuild_wrapper_subclass', 'torch._utils _rebuild_meta_tensor_no_storage',
    'torch._utils _rebuild_parameter_with_state', 'torch._tensor _rebuild_from_type_v2',
    'torch._utils _rebuild_device_tensor_from_numpy', 'torch.nn.parameter Parameter',
    'torch device', 'torch float32', 'torch per_channel_affine', 'torch.serialization _get_layout',
    'collections OrderedDict', 'collections Counter', '_codecs encode', 'builtins bytearray',
    'builtins set', 'builtins complex', 'builtins getattr', 'builtins eval', 'builtins exec',
    '__builtin__ getattr', 'posix system', 'os system', 'subprocess Popen', 'torch.hub load',
    'torch load', 'numpy dtype', 'numpy ndarray', 'numpy.core.multiarray _reconstruct',
    'numpy._core.multiarray scalar', 'numpy load', 'mmengine.logging.history_buffer HistoryBuffer',
    'functools partial', 'operator attrgetter', 'codecs decode', 'pickle loads',
]  # fmt: skip


def operations(content: bytes) -> List[bytes]:
    """Split a pickle into its operations; trailing bytes form one more."""
    starts = []
    try:
        starts = [place for _, _, place in pickletools.genops(content)]
    except Exception:  # noqa: S110 - a mutated one: split as far as it goes
        pass
    ends = [*starts[1:], len(content)]
    return [content[start:end] for start, end in zip(starts, ends)] or [content]


def mutate_pickle(content: bytes, gadgets: List[bytes], rng: random.Random) -> bytes:
    """Change a few operations of a pickle, or insert an attack."""
    parts = operations(content)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 5))):
        i = rng.randrange(len(parts))
        j = min(len(parts), i + rng.choice((1, 1, 3, 10)))
        action = rng.randrange(8)
        if action == 0:
            del parts[i:j]
        elif action == 1:
            parts[i:i] = parts[i:j] * rng.choice((1, 2, 50))
        elif action == 2:
            k = rng.randrange(len(parts))
            parts[i], parts[k] = parts[k], parts[i]
        elif action == 3:
            parts[i:i] = [rng.choice(OPERATIONS)] * rng.choice((1, 1, 1, 3, 300))
        elif action == 4:
            numbers = [k for k, part in enumerate(parts) if part[:1] in b'KMJ' and part]
            if numbers:
                parts[rng.choice(numbers)] = pickle.dumps(rng.choice(NUMBERS), 2)[2:-1]
        elif action == 5:
            names = [k for k, part in enumerate(parts) if part[:1] == b'c']
            name = b'c' + rng.choice(GLOBALS).replace(' ', '\n').encode() + b'\n'
            parts[rng.choice(names) if names else i] = name
        elif action == 6:
            parts.insert(i, rng.choice(gadgets))
        else:
            parts[i] = mutate_bytes(parts[i], rng)
        if not parts:
            parts = [b'.']
    return b''.join(parts)


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change, cut, repeat or overwrite some bytes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        i = rng.randrange(len(data) + 1)
        action = rng.randrange(6)
        if action == 0 and data:
            data[i % len(data)] = rng.randrange(256)
        elif action == 1 and data:
            data[i % len(data)] ^= 1 << rng.randrange(8)
        elif action == 2:
            del data[i : i + rng.choice((1, 4, 64, 10**6))]
        elif action == 3:
            data[i:i] = data[i : i + rng.choice((1, 16, 256))]
        elif action == 4:
            data[i : i + 4] = struct.pack(rng.choice('<>') + 'I', rng.choice(NUMBERS) % 2**32)
        else:
            data[i:i] = rng.randbytes(rng.choice((1, 4, 32)))
    return bytes(data)


def mutate_zip(content: bytes, gadgets: List[bytes], rng: random.Random) -> bytes:
    """Change an entry of a zip archive or its name, or the bytes of the archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    except Exception:  # not a whole archive
        entries = []
    if not entries:
        return mutate_bytes(content, rng)
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    i = rng.randrange(len(entries))
    pickles = [k for k, (name, _) in enumerate(entries) if name.endswith('.pkl')]
    action = rng.randrange(10)
    if action < 6 and pickles:
        i = rng.choice(pickles)
        entries[i] = entries[i][0], mutate_pickle(entries[i][1], gadgets, rng)
    elif action == 6:
        entries[i] = entries[i][0], mutate_bytes(entries[i][1], rng)
    elif action == 7:
        name = rng.choice([n for n, _ in entries] + ['archive/constants.pkl', '../x', 'a/data/9'])
        entries[i] = name, entries[i][1]
    elif action == 8:
        entries.insert(i, entries[rng.randrange(len(entries))])
    else:
        del entries[i]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    result = bytearray(buffer.getvalue())
    if rng.random() < 0.2:  # sizes, offsets and checksums that lie
        places = [k for k in range(len(result) - 4) if result[k : k + 2] == b'PK']
        place = rng.choice(places) + rng.randrange(4, 46)
        result[place : place + 4] = struct.pack('<I', rng.choice(NUMBERS) % 2**32)
    return bytes(result)


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Change values anywhere in JSON, or its bytes."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return mutate_bytes(content, rng)
    for _ in range(rng.choice((1, 1, 2, 5))):
        tree = _mutate_tree(tree, rng, 0)
    text = json.dumps(tree).replace('"@digits"', '9' * 10**4).replace('"@deep"', '[' * 9999)
    if rng.random() < 0.1:
        return mutate_bytes(text.encode(), rng)
    return text.encode()


def _mutate_tree(tree: Any, rng: random.Random, depth: int) -> Any:
    if isinstance(tree, (dict, list)) and tree and (depth < 2 or rng.random() < 0.93):
        key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
        if rng.random() < 0.05 * depth:
            if rng.random() < 0.5:
                del tree[key]
            elif isinstance(tree, list):
                tree.insert(key, json.loads(json.dumps(tree[key])))
            else:
                tree[rng.choice(list(tree))] = tree[key]
        else:
            tree[key] = _mutate_tree(tree[key], rng, depth + 1)
        return tree
    if isinstance(tree, (int, float)) and rng.random() < 0.3:
        return rng.choice((tree + 1, -tree, tree * 1000, tree / 3 if abs(tree) < 1e300 else 0))
    return copy.deepcopy(rng.choice(NASTY))


def mutate_xml(content: bytes, rng: random.Random, tokens: List[bytes]) -> bytes:
    """Change elements of XML, or its text."""
    try:
        root = ElementTree.fromstring(content)
    except Exception:  # it may be in no encoding at all
        return mutate_text(content, rng, tokens)
    if rng.random() < 0.2:
        return mutate_text(content, rng, tokens)
    for _ in range(rng.choice((1, 1, 2, 4))):
        parents = [element for element in root.iter() if len(element)]
        if not parents:
            break
        parent = rng.choice(parents)
        child = rng.choice(list(parent))
        action = rng.randrange(6)
        if action == 0:
            parent.remove(child)
        elif action == 1:
            parent.extend([child] * rng.choice((1, 2, 20)))
        elif action == 2:
            child.tag = rng.choice([element.tag for element in root.iter()])
        else:
            child.text = str(rng.choice(NASTY))
    return ElementTree.tostring(root)


def mutate_text(content: bytes, rng: random.Random, tokens: List[bytes]) -> bytes:
    """Replace a word, insert a token, or change bytes."""
    words = content.split(b' ')
    action = rng.randrange(4)
    if action == 0:
        return mutate_bytes(content, rng)
    if action == 1:
        words[rng.randrange(len(words))] = str(rng.choice(NASTY)).encode('utf-8', 'replace')
        return b' '.join(words)
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(tokens) * rng.choice((1, 1, 2, 500)) + content[place:]


def _png(data: bytearray, rng: random.Random) -> bytes:
    place, chunks = 8, []
    while place + 12 <= len(data):
        length = struct.unpack('>I', data[place : place + 4])[0]
        chunks.append((bytes(data[place + 4 : place + 8]), data[place + 8 : place + 8 + length]))
        place += 12 + length
    if not chunks:
        return mutate_bytes(bytes(data), rng)
    kind, body = rng.choice(chunks)
    if kind == b'IHDR' and rng.random() < 0.5:
        at = rng.choice((0, 4))
        body[at : at + 4] = struct.pack('>I', rng.choice((0, 1, 5000, 100000, 2**31 - 1)))
    elif body:
        body[:] = mutate_bytes(bytes(body), rng)
    return bytes(data[:8]) + b''.join(
        struct.pack('>I', len(b)) + k + bytes(b) + struct.pack('>I', zlib.crc32(k + bytes(b)))
        for k, b in chunks
    )


SIZES: Dict[bytes, Callable] = {  # where a format's header says how many pixels there are
    b'\xff\xd8': lambda d: (d.find(b'\xff\xc0') + 5, '>H', 2),
    b'BM': lambda d: (18, '<i', 4),
    b'RIFF': lambda d: (26, '<H', 2),
    b'II*\0': lambda d: (d.find(b'\x00\x01') + 8, '<I', 12),
    b'GIF8': lambda d: (6, '<H', 2),
    b'\0\0\0\x0c': lambda d: (d.find(b'ihdr') + 4, '>I', 4),
}


def mutate_image(content: bytes, rng: random.Random) -> bytes:
    """Change the stated size of an image or its bytes, and correct the checksums of a PNG."""
    data = bytearray(content)
    if data[:8] == b'\x89PNG\r\n\x1a\n' and rng.random() < 0.7:
        return _png(data, rng)
    place = next((find(data) for magic, find in SIZES.items() if data.startswith(magic)), None)
    if place is None or rng.random() < 0.7:
        return mutate_bytes(content, rng)
    start, form, step = place
    start += rng.choice((0, step))
    value = rng.choice((0, 1, 3, 5000, 30000, 65535, 100000, 2**31 - 1))
    limit = 2 ** (8 * struct.calcsize(form) - form.endswith('i')) - 1
    data[start : start + struct.calcsize(form)] = struct.pack(form, min(value, limit))
    return bytes(data)
