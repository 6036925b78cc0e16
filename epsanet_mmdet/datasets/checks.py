"""Quick checks of a COCO data set, for faults that would stop or spoil a training."""

import os
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterable, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..errors import DataError
from ..utils.files import open_regular
from ..utils.images import MAX_PIXELS, header_fault, read_image, read_size
from ..utils.text import listing
from .coco_json import has_byte_order_mark, load_json

TAIL = 64  # bytes; end markers may be followed by padding
ENDS = ((b'\xff\xd8\xff', b'\xff\xd9'), (b'\x89PNG\r\n\x1a\n', b'IEND'))
MASK_BYTES = 2**32  # of the masks of one image, which mmdet holds as a byte a pixel for each object

Size = Tuple[float, float]


class Expected(NamedTuple):
    """What the annotations of an image require of its file.

    Args:
        size: Width and height in pixels; None for any.
        masks: Number of masks of its size that are loaded.
    """

    size: Optional[Size] = None
    masks: int = 0


def check_paths(ann_file: str, img_dir: str, data_root: Optional[str] = None) -> None:
    """Check that the data root, the annotation file and the image folder exist.

    Raises:
        DataError: Naming the first of them that does not.
    """
    if data_root and not osp.isdir(data_root):
        raise DataError(
            f"data root '{data_root}' does not exist; set it with --cfg-options data_root=PATH "
            '(epsanet reproduce: --data-root PATH) or the environment variable DATA_ROOT'
        )
    if not osp.isfile(ann_file):
        folder = osp.dirname(ann_file)
        names = os.listdir(folder) if osp.isdir(folder) else []
        others = sorted(name for name in names if name.endswith('.json'))
        there = f' (there are {", ".join(others[:5])})' if others else ''
        raise DataError(
            f"annotation file '{ann_file}' does not exist{there}; set the dataset's ann_file"
        )
    if not osp.isdir(img_dir):
        raise DataError(
            f"image folder '{img_dir}' does not exist; set the dataset's data_prefix.img"
        )


def read_annotations(
    ann_file: str, classes: Sequence[str], subset: bool = False, optional: bool = False
) -> Dict[str, Any]:
    """Read a file, and check that it is COCO instance annotations of the given classes.

    mmdet numbers classes in the order of the file's categories, not of the config, and ignores
    classes that it does not find. Both would go unnoticed.

    Args:
        ann_file: The annotations.
        classes: The config's classes.
        subset: Accept further categories in the file.
        optional: Accept a file without annotations, as COCO provides for test images.

    Returns:
        The content of the file.

    Raises:
        DataError: If it is not JSON, not COCO, or its categories are not the classes.
    """
    if has_byte_order_mark(ann_file):
        raise DataError(
            f"'{ann_file}' begins with a byte order mark, which mmdet cannot read; save it as "
            'UTF-8 without one, or use epsanet check --fix'
        )
    content = load_json(ann_file)
    annotated = not optional or (isinstance(content, dict) and 'annotations' in content)
    for key in ('images', 'annotations', 'categories') if annotated else ('images', 'categories'):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(
                f"'{ann_file}' is not COCO annotations: it has no list '{key}'; export it as COCO "
                'instances'
            )
    if isinstance(classes, str):
        raise DataError(
            f"the config's classes are the text '{classes}'; set metainfo.classes to a tuple such "
            f"as ('{classes}',)"
        )
    names = [c.get('name') if isinstance(c, dict) else None for c in content['categories']]
    both = f"config has {listing(classes)}, '{ann_file}' has {listing(names)}"
    missing = [name for name in classes if name not in names]
    more = [name for name in names if name not in classes]
    if missing or (more and not subset):
        remedy = 'set metainfo.classes and num_classes to those of the file'
        if not missing:
            remedy += ', or class_subset=True in the dataset to train on some of them'
        raise DataError(
            f"the config's classes are not the file's categories "
            f'({_difference(missing, more)}): {both}; {remedy}'
        )
    if [name for name in names if name in classes] != list(classes):
        raise DataError(
            f"the config's classes are not in the order of the file's categories, or one occurs "
            f'twice: {both}; set metainfo.classes in the order of the file'
        )
    return content


def find_bad_images(
    paths: Iterable[str], expected: Optional[Mapping[str, Expected]] = None
) -> Dict[str, str]:
    """Find missing and damaged images without decoding all of them.

    A JPEG or PNG with the start and the end of its format passes; all others are decoded.

    Args:
        paths: The images.
        expected: Requirements on an image, by path.

    Returns:
        The fault of each bad image, by path.
    """
    paths, expected = list(paths), expected or {}
    with ThreadPoolExecutor(16) as pool:
        faults = pool.map(image_fault, paths, (expected.get(p, Expected()) for p in paths))
        return {path: fault for path, fault in zip(paths, faults) if fault}


def image_fault(path: str, expected: Expected = Expected(), decode: bool = True) -> Optional[str]:
    """Return the fault of an image file, or None.

    Args:
        path: The file.
        expected: Requirements on it.
        decode: Decode it, if it does not start and end as a JPEG or PNG does. Without, only the
            ends are checked.
    """
    try:
        with open_regular(path) as file:
            head = file.read(16)
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - TAIL))
            tail = file.read()
    except FileNotFoundError:
        return 'missing'
    except (OSError, ValueError) as error:
        return f'unreadable: {getattr(error, "strerror", None) or error}'
    if not length:
        return 'empty file'
    ends = [end for start, end in ENDS if head.startswith(start)]
    if not ends and not decode:
        return None
    if not any(end in tail for end in ends):
        facts = read_image(path)
        return facts.fault or _size_fault(facts.size, expected)
    if not decode:
        return None
    fault = header_fault(path)
    if fault or not (expected.size or expected.masks * MAX_PIXELS > MASK_BYTES):
        return fault
    return _size_fault(read_size(path), expected)


def masks_fault(size: Size, masks: int) -> Optional[str]:
    """Return a fault if the masks of an image take too much memory, or None.

    Args:
        size: Width and height of the image in pixels.
        masks: Number of masks.
    """
    needed = size[0] * size[1] * masks
    if needed <= MASK_BYTES:
        return None
    return f'its {masks} masks take {needed / 2**30:.0f} GiB of memory; cut it into tiles'


def _size_fault(found: Optional[Size], expected: Expected) -> Optional[str]:
    if found is None:
        return 'cannot be decoded: its header is damaged'
    wanted = expected.size
    if wanted is not None and tuple(wanted) != found:
        return f'is {found[0]}x{found[1]}, but its masks are for {wanted[0]}x{wanted[1]}'
    return masks_fault(found, expected.masks)


def _difference(missing: Sequence, more: Sequence) -> str:
    parts = [(missing, 'not in the file'), (more, 'not in the config')]
    return ', '.join(f'{listing(names)} {where}' for names, where in parts if names)
