"""Results that are computed once and kept in a file, so that an interrupted study can resume."""

import json
from pathlib import Path
from typing import Any, Callable, Dict

from epsanet_mmdet.utils.storage import write_json


def stored(file: Path, settings: Dict, name: str, compute: Callable[[], Any]) -> Any:
    """Return a result from a file, or compute and store it if the settings were others.

    Args:
        file: JSON file with ``settings`` and the result.
        settings: Everything that the result depends on, as JSON.
        name: Key of the result in the file.
        compute: Returns the result, as JSON.
    """
    content = json.loads(file.read_text()) if file.is_file() else {}
    if content.get('settings') != json.loads(json.dumps(settings)):
        content = {'settings': settings, name: compute()}
        write_json(content, file)
    return content[name]
