"""Jobs: one training and test of one config with one seed, each in a folder of its own."""

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from mmengine.config import Config

from ..config.python_text import config_text
from ..errors import ConfigError, DataError
from .files import read_json, write_json, write_text
from .fingerprint import decisive, differences, shown
from .plan import Row

LOCK_SECONDS = 120  # for a process that was told to end and saves its state


@dataclass
class Job:
    """One row with one seed.

    Args:
        row: What is trained.
        seed: Its seed.
        folder: Where everything of it goes.
        config: Its config.
        settings: What decides its outcome.
    """

    row: Row
    seed: int
    folder: Path
    config: Config
    settings: Dict[str, Any]

    @property
    def name(self) -> str:
        return f'{self.row.name}, seed {self.seed}'

    @property
    def result(self) -> Optional[Dict]:
        """What it measured; None until it is done."""
        return read_json(self.folder / 'result.json')

    @property
    def begun(self) -> bool:
        """True if there is something to resume from."""
        return resumable(self.folder)

    def check_settings(self) -> None:
        """Check that what is in the folder is of these settings.

        Raises:
            ConfigError: Naming what differs.
        """
        stored = read_json(self.folder / 'settings.json')
        found = None if stored is None else differences(decisive(stored), decisive(self.settings))
        if found is None or (first := next(found, None)) is None:
            return
        key, old, new = first
        raise ConfigError(
            f"'{self.folder}' holds a job of other settings: {key} was {shown(old)} and is now "
            f'{shown(new)}; give another --work-dir, or remove that folder'
        )

    def prepare(self) -> None:
        """Write the settings and the configs of training and test.

        Raises:
            DataError: If they cannot be written.
        """
        self.check_settings()
        config = Config(self.config.to_dict())
        write_text(self.folder / 'config.py', config_text(config.to_dict()))
        config.test_evaluator.outfile_prefix = str((self.folder / 'test' / 'results').absolute())
        config.visualizer = dict(type='DetLocalVisualizer', name='test')  # not into training's log
        write_text(self.folder / 'test_config.py', config_text(config.to_dict()))
        write_json(self.folder / 'settings.json', self.settings)

    def seconds(self) -> Dict[str, float]:
        """Time spent so far, over all restarts, by stage."""
        return read_json(self.folder / 'seconds.json') or {}


def last_checkpoint(folder: Path) -> Optional[str]:
    """Return the newest whole checkpoint of a job's folder, if any."""
    try:
        path = (folder / 'train' / 'last_checkpoint').read_text(encoding='utf-8').strip()
    except OSError:
        return None
    for candidate in (Path(path), folder / 'train' / Path(path).name):  # or the folder was moved
        if candidate.is_file():
            return str(candidate)
    return None


def resumable(folder: Path) -> bool:
    """Return whether a job's folder has checkpoints to resume from, whole or not."""
    patterns = ('epoch_*.pth', 'iter_*.pth', 'interrupted.pth')
    return any(any((folder / 'train').glob(pattern)) for pattern in patterns)


def result_files(folder: Path) -> List[str]:
    """Return the COCO results in the folder of a test."""
    paths = [folder / f'results.{kind}.json' for kind in ('bbox', 'segm')]
    return [str(path) for path in paths if path.is_file()]


def lock(folder: Path, seconds: float = LOCK_SECONDS) -> int:
    """Take a job's folder for this process and those that inherit the descriptor.

    Returns:
        A descriptor; the folder is free when all processes that have it closed it or ended.

    Raises:
        DataError: If another process keeps it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / 'lock', os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DataError(f"folder '{folder}' cannot be written: {error.strerror}; set --work-dir")
    for _ in _attempts(seconds):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            continue
        except OSError:  # a file system without locks
            return descriptor
    os.close(descriptor)
    raise DataError(
        f"'{folder}' is being used by another process; wait for it, or give another --work-dir"
    )


def _attempts(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    yield
    while time.monotonic() < deadline:
        time.sleep(0.2)
        yield
