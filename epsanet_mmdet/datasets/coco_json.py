"""Reading JSON, as COCO's annotations are."""

import json

from ..errors import DataError
from ..utils.files import open_regular, read_bytes
from ..utils.text import printable

BOM = b'\xef\xbb\xbf'


def load_json(path: str):
    """Read JSON, with or without a byte order mark.

    Hundreds of megabytes take seconds; orjson is no faster.

    Raises:
        DataError: If it is not JSON.
    """
    try:
        return json.loads(read_bytes(path).removeprefix(BOM))
    except (ValueError, RecursionError) as error:
        reason = printable(str(error), 200)
        raise DataError(f"'{path}' is not JSON ({reason}); export the annotations again") from None


def has_byte_order_mark(path: str) -> bool:
    """Return True if a file begins with a byte order mark, which mmdet cannot read."""
    with open_regular(path) as file:
        return file.read(len(BOM)) == BOM
