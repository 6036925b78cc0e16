"""Detections are plain arrays in pixels of the original image, whatever the batch size."""

import cv2
import numpy as np
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector  # noqa: F401

import epsanet_mmdet
from epsanet_mmdet.inference.detections import Detections
from epsanet_mmdet.inference.sources import Frame, find_sources, read_frames


def test_detections_are_arrays_in_order_of_their_scores(tiny_detector):  # noqa: F811
    found = epsanet_mmdet.infer(
        tiny_detector.images, tiny_detector.config, tiny_detector.checkpoint, 0.1, device='cpu'
    )
    assert [f.name for f in found] == [f'picture {i}.png' for i in range(1, 5)]
    first = found[0]
    n = len(first)
    assert 0 < n <= 10
    assert first.boxes.shape == (n, 4) and first.boxes.dtype == np.float32
    assert first.scores.shape == (n,) and (np.diff(first.scores) <= 0).all()
    assert first.labels.shape == (n,) and first.labels.dtype == np.int64
    assert first.class_names == [('disc', 'box')[label] for label in first.labels]
    assert first.masks.shape == (n, 64, 96) and first.masks.dtype == bool


def test_files_arrays_and_batches_have_the_same_detections(tiny_detector, detector):  # noqa: F811
    paths = sorted(tiny_detector.images.iterdir())
    arrays = [cv2.imread(str(path)) for path in paths]
    for batch_size, inputs in ((1, arrays), (3, [str(path) for path in paths])):
        stream = detector.stream(read_frames(find_sources(inputs)), 0.1, batch_size)
        found = [Detections.from_sample(*pair, detector.classes) for pair in stream]
        if batch_size == 1:
            wanted = found
    for one, other in zip(wanted, found):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_boxes_and_masks_of_a_shrunk_image_refer_to_the_original(detector):
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    ((_, small),) = detector.stream([Frame(find_sources([image])[0], image, (64, 96))], 0.1)
    big = Frame(find_sources([image])[0], image, (640, 960))
    ((_, sample),) = detector.stream([big], 0.1)
    found = Detections.from_sample(big, sample, detector.classes)
    np.testing.assert_allclose(found.boxes, 10 * small.pred_instances.bboxes.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(
        found.masks[:, ::10, ::10], small.pred_instances.masks.numpy().astype(bool)
    )
