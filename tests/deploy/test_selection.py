"""The selection of boxes without branches equals that of mmcv and mmdet."""

import pytest
import torch
from mmcv.ops import batched_nms

from epsanet_mmdet.deploy.selection import best, larger_than, separate_nms


@pytest.mark.parametrize('limit, expected', [(2, [3, 1]), (-1, [3, 1, 0, 2]), (9, [3, 1, 0, 2])])
def test_best_takes_at_most_the_limit(limit, expected):
    assert best(torch.tensor([0.2, 0.7, 0.1, 0.9]), limit).tolist() == expected


def test_best_of_nothing_is_nothing():
    assert len(best(torch.empty(0), 5)) == 0


def test_boxes_of_different_ids_do_not_suppress_each_other():
    corners = torch.rand(300, 2) * 60
    boxes = torch.cat([corners, corners + torch.rand(300, 2) * 60], dim=1)
    scores, ids = torch.rand(300), torch.randint(4, (300,))
    kept = batched_nms(boxes, scores, ids, dict(type='nms', iou_threshold=0.4))[1]
    assert separate_nms(boxes, scores, ids, 0.4, 1000).tolist() == kept.tolist()
    assert separate_nms(boxes, scores, ids, 0.4, 7).tolist() == kept[:7].tolist()


def test_leaves_out_boxes_with_short_sides():
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 0], [0, 0, 3, 9]])
    assert larger_than(boxes, 0).tolist() == [0, 2]
    assert larger_than(boxes, 4).tolist() == [0]
    assert larger_than(boxes, -1).tolist() == [0, 1, 2]
