"""Masks pasted by matrix products equal those that mmdet samples pixel by pixel."""

import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

from epsanet_mmdet.deploy.pasting import paste_masks


def test_equals_mmdet_for_boxes_inside_and_across_the_border():
    masks, corners = torch.rand(20, 28, 28), torch.rand(20, 2) * 60 - 10
    boxes = torch.cat([corners, corners + 1 + torch.rand(20, 2) * 80], dim=1)
    expected, _ = _do_paste_mask(masks[:, None], boxes, 50, 70, skip_empty=False)
    pasted = paste_masks(masks, boxes, 50, 70)
    assert pasted.shape == (20, 50, 70)
    torch.testing.assert_close(pasted, expected, atol=2e-5, rtol=0)


def test_a_constant_mask_fills_the_pixels_inside_its_box():
    pasted = paste_masks(torch.ones(1, 28, 28), torch.tensor([[10.0, 20.0, 30.0, 25.0]]), 40, 50)
    expected = torch.zeros(40, 50, dtype=torch.bool)
    expected[20:25, 10:30] = True
    assert torch.equal(pasted[0] >= 0.5, expected)


def test_a_box_without_area_has_an_empty_mask():
    boxes = torch.tensor([[10.0, 10.0, 10.0, 20.0], [9.5, 9.5, 9.5, 9.5]])
    assert not (paste_masks(torch.ones(2, 28, 28), boxes, 30, 30) >= 0.5).any()


def test_no_boxes_have_no_masks():
    assert paste_masks(torch.ones(0, 28, 28), torch.ones(0, 4), 30, 40).shape == (0, 30, 40)
