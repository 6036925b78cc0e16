"""A config whose base is named by the package, loaded in another process."""

import os
import subprocess
import sys
from pathlib import Path

BASE = 'epsanet/mask-rcnn_epsanet50-s_fpn_1x_coco.py'


def check_base(folder: Path, **environment) -> None:
    """Check that a config with ``epsanet_mmdet::BASE`` as its base loads and builds."""
    (folder / 'mine.py').write_text(
        f"_base_ = 'epsanet_mmdet::{BASE}'\n"
        "model = dict(backbone=dict(init_cfg=None), neck=dict(type='mmdet.FPN'))\n"
    )
    code = (
        'import epsanet_mmdet\n'
        'from mmdet.registry import MODELS\n'
        'from mmengine.config import Config\n'
        "config = Config.fromfile('mine.py')\n"
        'print(epsanet_mmdet.__file__, type(MODELS.build(config.model).backbone).__name__)\n'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    place, kind = done.stdout.split()[-2:]
    assert kind == 'EPSANet'
    assert place.startswith(environment['PYTHONPATH'])
    assert 'WARNING' not in done.stdout
