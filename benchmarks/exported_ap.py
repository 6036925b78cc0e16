"""Compare the COCO AP of a detector with that of its exported files on the config's test set."""

import tempfile
from typing import Dict, Sequence

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import nn

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.deploy.runtimes import load_exported
from epsanet_mmdet.engine.runner import BriefRunner
from epsanet_mmdet.utils.command_line import run_command

NAMES = ('bboxes', 'scores', 'labels', 'masks')


class ExportedModel(nn.Module):
    """An exported detector in the place of mmdet's, for a test loop."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.run = load_exported(path)

    def test_step(self, data: dict) -> list:
        for image, sample in zip(data['inputs'], data['data_samples']):
            inputs = dict(
                image=image.permute(1, 2, 0).contiguous().numpy(),
                original_size=np.array(sample.ori_shape),
            )
            outputs = map(torch.from_numpy, self.run(inputs))
            sample.pred_instances = InstanceData(**dict(zip(NAMES, outputs)))
        return data['data_samples']


def compare_ap(config: str, checkpoint: str, files: Sequence[str]) -> Dict[str, Dict[str, float]]:
    """Return mmdet's COCO metrics of a checkpoint and of files exported from it, by name."""
    config = load_config(config)
    config.load_from = str(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        config.work_dir = folder
        runner = BriefRunner.from_cfg(config)
        metrics = {str(checkpoint): runner.test()}
        for file in files:
            runner.model = ExportedModel(file)
            metrics[str(file)] = runner.test_loop.run()
    return metrics


def main() -> None:
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config of the detector, with a test set')
    parser.add_argument('checkpoint', help='checkpoint of the detector')
    parser.add_argument('files', nargs='+', help='.onnx or .xml files exported from it')
    args = parser.parse_args()
    for name, metrics in compare_ap(args.config, args.checkpoint, args.files).items():
        values = (f'{k.partition("/")[2]} {v:.3f}' for k, v in metrics.items() if '_mAP' in k)
        print(f'{name}:', *values)


if __name__ == '__main__':
    run_command(main)
