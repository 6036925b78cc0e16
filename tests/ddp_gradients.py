"""Losses and gradients of a tiny Mask R-CNN for one batch, in one process or several.

    torchrun --nproc_per_node=2 tests/ddp_gradients.py CONFIG OUT

Each process takes its share of the images; the first writes ``dict(losses, gradients, buffers)``.
"""

import os
import sys

import torch
import torch.distributed
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope

import epsanet_mmdet  # noqa: F401

IMAGES = 4
# Everything is sampled, so that nothing is drawn at random and each process has as many
# anchors, regions and masks as the other: mmdet divides each loss by its own process's count.
EVERYTHING = {
    'model.backbone.norm_cfg.type': 'CPUSyncBatchNorm2d',
    'model.backbone.norm_eval': False,
    'model.train_cfg.rpn.assigner.neg_iou_thr': 0.7,
    'model.train_cfg.rpn.assigner.min_pos_iou': 0.01,
    'model.train_cfg.rpn.sampler.num': 100_000,
    'model.train_cfg.rpn_proposal': dict(
        nms_pre=100_000,
        max_per_img=100_000,
        nms=None,
        min_bbox_size=-1,
    ),
    'model.train_cfg.rcnn.assigner.pos_iou_thr': 0.999,
    'model.train_cfg.rcnn.assigner.neg_iou_thr': 0.999,
    'model.train_cfg.rcnn.assigner.min_pos_iou': 0.999,
    'model.train_cfg.rcnn.sampler.num': 100_000,
    'model.train_cfg.rcnn.sampler.pos_fraction': 0.5,
}
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs'),
]


def gradients(config_file: str, share: slice) -> dict:
    """Run one training step's forward and backward on a share of the images."""
    config = Config.fromfile(config_file)
    config.merge_from_dict(EVERYTHING)
    init_default_scope('mmdet')
    dataset = DATASETS.build({**config.train_dataloader.dataset, 'pipeline': PIPELINE})
    torch.manual_seed(0)
    model = MODELS.build(config.model).train().double()
    if torch.distributed.is_initialized():
        wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)
    else:
        wrapped = model
    for _ in range(2):  # DDP reports a parameter without a gradient in the next step
        model.zero_grad()
        data = pseudo_collate([dataset[i] for i in range(IMAGES)[share]])
        data = model.data_preprocessor(data, training=True)
        data['inputs'] = data['inputs'].double()
        loss, logs = model.parse_losses(wrapped(**data, mode='loss'))
        loss.backward()
    return dict(
        losses={name: value.detach() for name, value in logs.items()},
        gradients={name: p.grad for name, p in model.named_parameters() if p.requires_grad},
        buffers={name: b for name, b in model.named_buffers() if 'running' in name},
    )


def main() -> None:
    torch.distributed.init_process_group('gloo')
    rank, size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    each = IMAGES // size
    result = gradients(sys.argv[1], slice(rank * each, (rank + 1) * each))
    for value in result['losses'].values():
        torch.distributed.all_reduce(value)
        value /= size
    if rank == 0:
        torch.save(result, sys.argv[2])
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main()
