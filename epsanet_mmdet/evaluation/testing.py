"""Testing a model with mmdet, so that its results can be reported."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner

from ..config.data import data_paths
from ..config.load import load_config
from ..engine.mmdet_tools import check_data
from ..errors import ConfigError
from ..inference.detector import check_checkpoint_path, require_fit
from ..inference.output_paths import check_inputs_stay


@dataclass
class TestRun:
    """A finished test, as a report needs it.

    Args:
        config: The config that was tested.
        ann_file: Its COCO annotations.
        image_dir: Its folder of pictures.
        classes: Names of its classes.
        results: The COCO results it wrote.
    """

    config: Config
    ann_file: str
    image_dir: str
    classes: Sequence[str]
    results: List[str]


def run_test(
    config: str, checkpoint: str, out_prefix: str, options: Optional[Dict] = None
) -> TestRun:
    """Test a model on the config's test set.

    Args:
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        out_prefix: Results go to this path and ``.bbox.json`` or ``.segm.json``.
        options: Overrides of the config, as of ``--cfg-options``.

    Raises:
        ConfigError: If there is no such config, or it does not test on COCO annotations.
        CheckpointError: If there is no such checkpoint, or it does not fit.
        DataError: If the data set cannot be read.
    """
    cfg = load_config(config, options)
    check_checkpoint_path(checkpoint)
    data, evaluator = (cfg.get('test_dataloader') or {}).get('dataset'), cfg.get('test_evaluator')
    if not data or 'ann_file' not in data or (evaluator or {}).get('type') != 'CocoMetric':
        raise ConfigError(f"config '{config}' does not test one data set by CocoMetric")
    check_data(cfg, ('test_dataloader',))
    _, ann_file, images = data_paths(data)
    kinds = evaluator.get('metric', 'bbox')
    kinds = [kinds] if isinstance(kinds, str) else kinds
    results = [f'{out_prefix}.{kind}.json' for kind in kinds if kind in ('bbox', 'segm')]
    check_inputs_stay(map(Path, results), [ann_file, checkpoint, config], '--out')
    evaluator.outfile_prefix = out_prefix
    cfg.load_from = checkpoint
    with tempfile.TemporaryDirectory() as work_dir:  # the log of the test alone
        cfg.work_dir = work_dir
        cfg.visualizer = dict(type='mmdet.DetLocalVisualizer', name=work_dir)  # logs to nowhere
        runner = Runner.from_cfg(cfg)
        require_fit(runner.model, CheckpointLoader.load_checkpoint(checkpoint, 'cpu'))
        runner.test()
    return TestRun(
        cfg,
        ann_file,
        images,
        runner.test_dataloader.dataset.metainfo['classes'],
        results,
    )
