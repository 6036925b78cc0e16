"""Jobs: one training and test of one variant with one seed, each in its own folder."""

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from mmengine.config import Config

from ..config.python_text import config_text
from ..errors import ConfigError, DataError
from ..utils.storage import write_json, write_whole
from ..utils.text import printable
from .fingerprint import decisive, differences
from .plan import Variant

LOCK_SECONDS = 120  # for a process to save its state and end
CHECKPOINTS = ('epoch_*.pth', 'iter_*.pth', 'interrupted.pth')  # from which training resumes


class Locked(DataError):
    """Another process is running the job."""


@dataclass
class Job:
    """One variant with one seed.

    Args:
        variant: What is trained.
        seed: The seed.
        folder: Where everything of the job is written.
        config: The config.
        settings: What decides the outcome; see :mod:`epsanet_mmdet.experiments.fingerprint`.
    """

    variant: Variant
    seed: int
    folder: Path
    config: Config
    settings: Dict[str, Any]

    @property
    def name(self) -> str:
        return f'{self.variant.name}, seed {self.seed}'

    @property
    def result(self) -> Optional[Dict]:
        """The content of ``result.json``, None until the job is done."""
        return read_json(self.folder / 'result.json')

    @property
    def seconds(self) -> Dict[str, float]:
        """Time spent so far by stage, over all restarts."""
        return read_json(self.folder / 'seconds.json') or {}

    @property
    def begun(self) -> bool:
        """True if there is a checkpoint to resume from."""
        return resumable(self.folder)

    def check_settings(self) -> None:
        """Check that the folder holds no job with other settings.

        Raises:
            ConfigError: Naming the first difference.
        """
        stored = read_json(self.folder / 'settings.json')
        if stored is None:
            return
        for key, old, new in differences(decisive(stored), decisive(self.settings)):
            raise ConfigError(
                f"'{self.folder}' holds a job with other settings: {key} was {printable(old)} and "
                f'is now {printable(new)}; set another --work-dir, or remove that folder'
            )

    def prepare(self) -> None:
        """Write the settings, and the configs of training and test.

        Raises:
            ConfigError: See :meth:`check_settings`.
            StorageError: If the files cannot be written.
        """
        self.check_settings()
        config = Config(self.config.to_dict())
        write_whole(config_text(config.to_dict()), self.folder / 'config.py')
        config.test_evaluator.outfile_prefix = str((self.folder / 'test' / 'results').absolute())
        config.visualizer = dict(type='DetLocalVisualizer', name='test')  # not into training's log
        write_whole(config_text(config.to_dict()), self.folder / 'test_config.py')
        write_json(self.settings, self.folder / 'settings.json')


def last_checkpoint(folder: Path) -> Optional[str]:
    """Return the newest whole checkpoint in a job's folder, or None."""
    try:
        path = (folder / 'train' / 'last_checkpoint').read_text(encoding='utf-8').strip()
    except OSError:
        return None
    for candidate in (Path(path), folder / 'train' / Path(path).name):  # or the folder was moved
        if candidate.is_file():
            return str(candidate)
    return None


def resumable(folder: Path) -> bool:
    """Return True if a job's folder has checkpoints to resume from, whole or not."""
    return any(any((folder / 'train').glob(pattern)) for pattern in CHECKPOINTS)


def result_files(folder: Path) -> List[str]:
    """Return the COCO results in the folder of a test."""
    paths = [folder / f'results.{iou_type}.json' for iou_type in ('bbox', 'segm')]
    return [str(path) for path in paths if path.is_file()]


def lock(folder: Path, seconds: float = LOCK_SECONDS) -> int:
    """Lock a job's folder for this process and those that inherit the descriptor.

    Args:
        folder: The folder; created if it does not exist.
        seconds: How long to wait for another process.

    Returns:
        A descriptor; the lock ends when all processes that have it closed it or ended.

    Raises:
        Locked: If another process keeps the lock.
        DataError: If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / 'lock', os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DataError(f"folder '{folder}' cannot be written: {error.strerror}; set --work-dir")
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                break
            time.sleep(0.2)
        except OSError:  # a file system without locks
            return descriptor
    os.close(descriptor)
    raise Locked(
        f"'{folder}' is being used by another process; wait for it, or set another --work-dir"
    )


def read_json(path: Path) -> Optional[Any]:
    """Return the content of a JSON file, or None if there is no such file.

    Raises:
        DataError: If it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read ({error}); remove it to do its job again")
