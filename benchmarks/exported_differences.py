"""Compare the detections of exported files with those of the detector, in a folder of images."""

from pathlib import Path
from typing import Dict, List, Sequence

import numpy as np

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.deploy.agreement import Arrays, arrays, match
from epsanet_mmdet.deploy.runtimes import load_exported
from epsanet_mmdet.inference.detector import Detector
from epsanet_mmdet.utils.command_line import run_command
from epsanet_mmdet.utils.images import is_image, load_image


class Differences:
    """Counts of detections, and the greatest differences of those that both found."""

    def __init__(self) -> None:
        self.expected = self.found = self.common = 0
        self.pixels = self.score = self.masks = 0.0

    def add(self, got: Arrays, expected: Arrays, size: Sequence[int]) -> None:
        pairs = match(got, expected, size)
        self.expected += len(expected[1])
        self.found += len(got[1])
        self.common += len(pairs)
        for i, j in pairs:
            self.pixels = max(self.pixels, np.abs(got[0][i] - expected[0][j]).max())
            self.score = max(self.score, abs(got[1][i] - expected[1][j]))
        if len(expected) > 3 and expected[3].any():
            other = sum((got[3][i] != expected[3][j]).sum() for i, j in pairs)
            self.masks = max(self.masks, other / expected[3].sum())

    def __str__(self) -> str:
        return (
            f'{self.found} detections, {self.common} of the {self.expected} expected; boxes '
            f'differ by {self.pixels:.1e} pixels, scores by {self.score:.1e}, masks in '
            f'{self.masks:.1e} of their pixels'
        )


def compare_in_images(
    config: str, checkpoint: str, files: Sequence[str], images: Sequence[Path]
) -> Dict[str, Differences]:
    """Return the differences of each file over all images."""
    detector = Detector(config, checkpoint, 'cpu')
    runs = {file: load_exported(file) for file in files}
    differences: Dict[str, Differences] = {file: Differences() for file in files}
    for path in images:
        image = load_image(str(path))
        size: List[int] = list(image.shape[:2])
        data = detector.pipeline(dict(img=image, img_id=0))
        resized = data['inputs'].permute(1, 2, 0).contiguous().numpy()
        (sample,) = detector.forward(detector.collate_fn([data]))
        expected = arrays(sample.pred_instances)
        for file, run in runs.items():
            got = run(dict(image=resized, original_size=np.array(size)))
            differences[file].add(got, expected, size)
    return differences


def main() -> None:
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config of the detector')
    parser.add_argument('checkpoint', help='checkpoint of the detector')
    parser.add_argument('files', nargs='+', help='.onnx or .xml files exported from it')
    parser.add_argument('--images', required=True, metavar='FOLDER', help='images to detect in')
    args = parser.parse_args()
    images = [path for path in sorted(Path(args.images).rglob('*')) if is_image(str(path))]
    found = compare_in_images(args.config, args.checkpoint, args.files, images)
    for file, differences in found.items():
        print(f'{file}: in {len(images)} images, {differences}')


if __name__ == '__main__':
    run_command(main)
