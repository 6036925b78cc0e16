"""Checkpoints that try to run code when they are loaded; the code would create a file."""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path


class Call:
    """Pickles as a call of ``function(*arguments)``, then as ``__setstate__(state)``."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


class Name:
    """Pickles as the global of this name, which need not be importable."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Pickler(pickle._Pickler):
    """Writes :class:`Name` as it says, and :class:`Call` of anything, callable or not."""

    def save(self, obj, *args, **kwargs):
        if isinstance(obj, Name):
            self.write(pickle.GLOBAL + f'{obj.module}\n{obj.name}\n'.encode())
        elif isinstance(obj, Call):
            function, arguments, state = obj.reduced
            self.save(function)
            self.save(arguments)
            self.write(pickle.REDUCE)
            if state is not None:
                self.save(state)
                self.write(pickle.BUILD)
        else:
            super().save(obj, *args, **kwargs)


def attacks(marker: Path) -> dict:
    """Return the payload of every attack by name, and the name that the refusal must contain."""
    touch = f'touch "{marker}"'
    code = f'open({str(marker)!r}, "w")'
    getattr_, dtype = Name('builtins', 'getattr'), Name('numpy', 'dtype')
    rebuild = Name('numpy.core.multiarray', '_reconstruct')
    scalar = Name('numpy._core.multiarray', 'scalar')
    ndarray = Name('numpy', 'ndarray')
    history = Name('mmengine.logging.history_buffer', 'HistoryBuffer')
    mean = Call(getattr_, history, 'mean')
    pointers = b'A' * 64
    return {
        'system': (Call(Name('posix', 'system'), touch), 'posix.system'),
        'os system': (Call(Name('os', 'system'), touch), 'os.system'),
        'eval': (Call(Name('builtins', 'eval'), code), 'eval'),
        'exec': (Call(Name('builtins', 'exec'), code), 'exec'),
        'python 2 eval': (Call(Name('__builtin__', 'eval'), code), 'eval'),
        'open': (Call(Name('builtins', 'open'), str(marker), 'w'), 'open'),
        'popen': (Call(Name('subprocess', 'Popen'), ['touch', str(marker)]), 'subprocess.Popen'),
        'import': (Call(Name('builtins', '__import__'), 'this'), '__import__'),
        'partial': (
            Call(Call(Name('functools', 'partial'), Name('builtins', 'eval'), code)),
            'functools.partial',
        ),
        'attrgetter': (Call(Name('operator', 'attrgetter'), 'mean'), 'operator.attrgetter'),
        'torch.load': (
            Call(Name('torch.serialization', 'load'), str(marker)),
            'torch.serialization.load',
        ),
        'torch.hub': (Call(Name('torch.hub', 'load'), 'a/b', 'c'), 'torch.hub.load'),
        'package': (
            Call(Name('epsanet_mmdet.checkpoint.load', 'torch_load'), str(marker)),
            'epsanet_mmdet.checkpoint.load.torch_load',
        ),
        'getattr chain': (
            Call(getattr_, Call(getattr_, mean, '__globals__'), 'get'),
            'mean.__globals__',
        ),
        'getattr class': (Call(getattr_, history, '__init__'), 'HistoryBuffer.__init__'),
        'getattr subclasses': (
            Call(getattr_, Name('builtins', 'object'), '__subclasses__'),
            'object',
        ),
        'method': (Call(mean, Call(history)), 'mean'),
        'object dtype': (Call(dtype, 'O8', False, True), "numpy.dtype('O8')"),
        'structured dtype': (Call(dtype, 'i4,O', False, True), "numpy.dtype('i4,O')"),
        'dtype of a dtype': (Call(dtype, Call(dtype, 'f8')), 'numpy.dtype'),
        'object array over bytes': (Call(ndarray, (1,), 'O', pointers), 'numpy.ndarray'),
        'structured array over bytes': (Call(ndarray, (1,), 'i4,O', pointers), 'numpy.ndarray'),
        'array of a disguised dtype': (
            Call(
                rebuild,
                ndarray,
                (0,),
                b'b',
                state=(1, (1,), Call(history, state={'dtype': 'O'}), False, pointers),
            ),
            'numpy.dtype',
        ),
        'scalar of a disguised dtype': (
            Call(scalar, Call(history, state={'dtype': 'i4,O'}), pointers),
            'numpy.dtype',
        ),
        'state of a builtin': (
            Call(Name('builtins', 'slice'), 1, state={'x': 1}),
            'slice',
        ),
    }


def write(path: Path, payload, form: str = 'zip') -> str:
    """Write a checkpoint with ``payload`` beside honest weights, in one of torch's formats."""
    content = {'meta': {}, 'state_dict': {'weight': 1.0}, 'payload': payload}
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump(content)
    if form == 'pickle':
        path.write_bytes(buffer.getvalue())
    elif form == 'legacy':
        legacy = io.BytesIO()
        for part in (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True}):
            pickle.dump(part, legacy, 2)
        path.write_bytes(legacy.getvalue() + buffer.getvalue() + pickle.dumps([], 2))
    elif form == 'tar':
        with tarfile.open(path, 'w') as file:
            for name in ('sys_info', 'pickle', 'storages', 'tensors'):
                info = tarfile.TarInfo(name)
                info.size = len(buffer.getvalue())
                file.addfile(info, io.BytesIO(buffer.getvalue()))
    else:
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as file:
            file.writestr('archive/data.pkl', buffer.getvalue())
            file.writestr('archive/version', '3\n')
            file.writestr('archive/byteorder', 'little')
        if form == 'zip in zip':
            inner = path.read_bytes()
            with zipfile.ZipFile(path, 'w') as file:
                file.writestr('inner.pth', inner)
    return str(path)


FORMS = ['zip', 'legacy', 'pickle', 'tar', 'zip in zip']
