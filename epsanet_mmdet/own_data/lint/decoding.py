"""Decoding the images of a data set in parallel."""

import gc
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Dict, Sequence

from tqdm import tqdm

from ...utils.images import ImageFacts, read_image

CHUNK = 64  # images per task of a process


def read_images(paths: Sequence[str]) -> Dict[str, ImageFacts]:
    """Decode images in parallel processes, with a progress bar on a terminal.

    A decoder that crashes takes down its process only: the remaining images are then read one by
    one, each in a process of its own.

    Args:
        paths: The images, each once.

    Returns:
        Facts about each image, by path.
    """
    facts: Dict[str, ImageFacts] = {}
    with tqdm(total=len(paths), unit=' images', desc='reading', disable=None) as bar:
        try:
            with _pool(cpu_count()) as pool:
                for path, found in zip(paths, pool.map(read_image, paths, chunksize=CHUNK)):
                    facts[path] = found
                    bar.update()
        except BrokenProcessPool:
            for path in paths[len(facts) :]:
                facts[path] = _read_alone(path)
                bar.update()
    return facts


def cpu_count() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_alone(path: str) -> ImageFacts:
    try:
        with _pool(1) as pool:
            return pool.submit(read_image, path).result()
    except BrokenProcessPool:
        return ImageFacts('cannot be decoded: the decoder crashed')


def _pool(workers: int) -> ProcessPoolExecutor:
    method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else None
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    gc.freeze()  # collecting would otherwise copy the parent's memory, page by page
    warnings.simplefilter('ignore')
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # libjpeg and libtiff print; faults are returned
