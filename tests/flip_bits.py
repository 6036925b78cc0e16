"""Change single bits of a run's files, and check what --resume would load.

    python tests/flip_bits.py --real CHECKPOINT --count 2000

changes, one at a time, every bit of a small checkpoint, of the record and of ``last_checkpoint``,
and random bits of a large checkpoint. The folder contains that checkpoint, ``epoch_3.pth``, and an
earlier one. It prints a table of what was resumed; only the last two columns are failures.
"""

import random
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Callable, Dict, Iterable, List
from unittest import mock

import torch

from epsanet_mmdet.checkpoint import record as checkpoint_record
from epsanet_mmdet.checkpoint import restricted_load
from epsanet_mmdet.checkpoint.record import RECORD, write_recorded
from epsanet_mmdet.engine.hooks import AtomicCheckpointHook

OUTCOMES = (
    'same checkpoint',
    'same, with a warning',
    'earlier one, named in a warning',
    'silent change',
    'error',
)


class Run:
    """A run's folder with two checkpoints, and the attributes of a runner that the hook reads.

    Args:
        folder: The folder.
        latest: The checkpoint of epoch 3, as bytes.
        load: Whether to load the checkpoints and compare their content.
    """

    def __init__(self, folder: Path, latest: bytes, load: bool = True) -> None:
        self.work_dir = str(folder)
        self.load = load
        for epoch, content in ((2, small_checkpoint(2)), (3, latest)):
            write_recorded(content, folder / f'epoch_{epoch}.pth')
        (folder / 'last_checkpoint').write_text(str(folder / 'epoch_3.pth'))
        self.expected = self.read(folder / 'epoch_3.pth')

    def read(self, path: Path):
        return restricted_load(str(path)) if self.load else path

    def outcome(self, changed: str) -> str:
        """Return the one of :data:`OUTCOMES` that resuming has now."""
        warnings: List[str] = []
        note = lambda message, **_: warnings.append(message)  # noqa: E731
        with mock.patch.object(checkpoint_record, 'print_log', note):
            try:
                found = AtomicCheckpointHook().find_latest_checkpoint(self)
                content = self.read(Path(found))
            except Exception:
                return 'error'
        name = Path(found).name
        if name == 'epoch_2.pth':
            named = any(changed in warning for warning in warnings)
            return 'earlier one, named in a warning' if named else 'silent change'
        if name != 'epoch_3.pth' or not same(content, self.expected):
            return 'silent change'
        return 'same, with a warning' if warnings else 'same checkpoint'


def same(first, second) -> bool:
    """Return whether two contents of checkpoints are equal, tensors to the bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, torch.Tensor):
        return first.equal(second)
    return first == second


def small_checkpoint(epoch: int) -> bytes:
    """Return a checkpoint of one layer."""
    layer = torch.nn.Linear(2, 2)
    hub = dict(log_scalars={}, runtime_info=dict(epoch=epoch), resumed_keys=dict(epoch=True))
    meta = dict(epoch=epoch, iter=10 * epoch)
    with tempfile.TemporaryFile() as file:
        torch.save(dict(meta=meta, state_dict=layer.state_dict(), message_hub=hub), file)
        file.seek(0)
        return file.read()


def flip(path: Path, bits: Iterable[int], look: Callable[[], str]) -> Counter:
    """Change bits of a file one after the other, and count what ``look`` returns."""
    outcomes: Counter = Counter()
    with path.open('r+b', buffering=0) as file:
        for bit in bits:
            file.seek(bit // 8)
            byte = file.read(1)
            for value in (byte[0] ^ 1 << bit % 8, byte[0]):
                file.seek(bit // 8)
                file.write(bytes([value]))
                if value != byte[0]:
                    outcomes[look()] += 1
    return outcomes


def study(folder: Path, share: float = 1.0, seed: int = 0) -> Dict[str, Counter]:
    """Change every bit of the small files, or a share of them at random.

    Returns:
        Counts of :data:`OUTCOMES` by the name of the file.
    """
    run = Run(folder, small_checkpoint(3))
    chance = random.Random(seed)
    results = {}
    for name in ('epoch_3.pth', RECORD, 'last_checkpoint'):
        size = 8 * (folder / name).stat().st_size
        bits = range(size) if share == 1 else chance.sample(range(size), int(share * size))
        results[name] = flip(folder / name, bits, lambda: run.outcome(name))  # noqa: B023
    return results


def study_real(folder: Path, checkpoint: Path, count: int, seed: int = 0) -> Counter:
    """Change random bits of a real checkpoint."""
    run = Run(folder, checkpoint.read_bytes(), load=False)
    path = folder / 'epoch_3.pth'
    bits = random.Random(seed).sample(range(8 * path.stat().st_size), count)
    return flip(path, bits, lambda: run.outcome(path.name))


def table(results: Dict[str, Counter]) -> str:
    """Return the counts as a table in Markdown."""
    lines = ['| file | bits | ' + ' | '.join(OUTCOMES) + ' |', '| --- |' + ' --- |' * 6]
    for name, counts in results.items():
        cells = [name, f'{sum(counts.values()):,}', *(f'{counts[o]:,}' for o in OUTCOMES)]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--real', type=Path, help='a large checkpoint')
    parser.add_argument('--count', type=int, default=2000, help='bits of it to change')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = study(Path(folder))
        if args.real:
            shutil.rmtree(folder)
            Path(folder).mkdir()
            results[args.real.name] = study_real(Path(folder), args.real, args.count)
    print(table(results))
    failures = sum(counts[outcome] for counts in results.values() for outcome in OUTCOMES[-2:])
    sys.exit(failures > 0)


if __name__ == '__main__':
    main()
