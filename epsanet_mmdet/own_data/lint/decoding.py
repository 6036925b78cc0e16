"""Decoding the images of a data set in parallel."""

import gc
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Dict, List, Sequence

from tqdm import tqdm

from ...utils.images import ImageFacts, read_image

CHUNK = 64  # images that a process reads between reports
CRASHED = ImageFacts('cannot be decoded: the decoder crashed')


def read_images(paths: Sequence[str]) -> Dict[str, ImageFacts]:
    """Decode images in parallel processes, with a progress bar on a terminal.

    A decoder that crashes takes down its process only: the remaining images are then read one by
    one, each in a process of its own.

    Args:
        paths: The images.

    Returns:
        Facts about each image, by path.
    """
    facts: Dict[str, ImageFacts] = {}
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    with tqdm(total=len(paths), unit=' images', desc='reading', disable=None) as bar:
        try:
            with _pool(cpu_count()) as pool:
                for future in as_completed([pool.submit(_read, chunk) for chunk in chunks]):
                    facts.update(future.result())
                    bar.update(len(future.result()))
        except BrokenProcessPool:
            for path in paths:
                if path not in facts:
                    facts.update(_read_alone(path))
                    bar.update()
    return facts


def cpu_count() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read(paths: List[str]) -> Dict[str, ImageFacts]:
    return {path: read_image(path) for path in paths}


def _read_alone(path: str) -> Dict[str, ImageFacts]:
    try:
        with _pool(1) as pool:
            return pool.submit(_read, [path]).result()
    except BrokenProcessPool:
        return {path: CRASHED}


def _pool(workers: int) -> ProcessPoolExecutor:
    method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else None
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    gc.freeze()  # collecting would otherwise copy the parent's memory, page by page
    warnings.simplefilter('ignore')
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # libjpeg and libtiff print; faults are returned
