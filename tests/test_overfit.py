"""Mask R-CNN with EPSANet overfits four real images."""

import json

import pytest
from mmengine.runner import Runner

from epsanet_mmdet.config.data import set_image_scale
from epsanet_mmdet.config.load import load_config

CHANNELS = 64
SCALE = (224, 176)


@pytest.fixture
def four_images(tiny_coco, tmp_path):
    """Annotations of the four images of tiny_coco whose smallest object is largest."""
    content = json.loads((tiny_coco / 'annotations' / 'instances_train2017.json').read_text())
    objects = {}
    for annotation in content['annotations']:
        objects.setdefault(annotation['image_id'], []).append(annotation)

    def smallest(image):
        if any(a['iscrowd'] for a in objects.get(image['id'], [])):
            return 0
        areas = [a['area'] for a in objects.get(image['id'], [])]
        return min(areas, default=0) / (image['width'] * image['height'])

    content['images'] = sorted(content['images'], key=smallest)[-4:]
    kept = {image['id'] for image in content['images']}
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in kept]
    path = tmp_path / 'four.json'
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.slow(minutes=4)
def test_box_ap50_on_four_training_images_reaches_080(tiny_coco, four_images, tmp_path):
    config = load_config('mask-rcnn_epsanet50-s_fpn_1x_coco', dict(data_root=str(tiny_coco)))
    set_image_scale(config, SCALE)
    config.train_dataloader.dataset.pipeline = [
        step for step in config.train_dataloader.dataset.pipeline if step.type != 'RandomFlip'
    ]
    train_on = dict(ann_file=four_images, data_prefix=dict(img='train2017/'))
    config.merge_from_dict(
        {
            'work_dir': str(tmp_path / 'run'),
            'model.backbone': dict(
                frozen_stages=-1,
                norm_eval=False,
                norm_cfg=dict(type='GN', num_groups=16, requires_grad=True),
                init_cfg=None,
            ),
            'model.neck.out_channels': CHANNELS,
            'model.rpn_head': dict(in_channels=CHANNELS, feat_channels=CHANNELS),
            'model.roi_head': dict(
                bbox_roi_extractor=dict(out_channels=CHANNELS),
                bbox_head=dict(in_channels=CHANNELS, fc_out_channels=256),
                mask_roi_extractor=dict(out_channels=CHANNELS),
                mask_head=dict(num_convs=1, in_channels=CHANNELS, conv_out_channels=CHANNELS),
            ),
            'model.train_cfg.rcnn.sampler.num': 64,
            'train_dataloader': dict(
                batch_size=4,
                num_workers=0,
                persistent_workers=False,
                # mmengine waits two seconds after every epoch, which would be one iteration.
                sampler=dict(type='InfiniteSampler', _delete_=True),
                dataset=train_on,
            ),
            'val_dataloader': dict(num_workers=0, persistent_workers=False, dataset=train_on),
            'val_evaluator.ann_file': four_images,
            'train_cfg': dict(
                type='IterBasedTrainLoop', max_iters=120, val_interval=1000, _delete_=True
            ),
            'optim_wrapper': dict(
                type='OptimWrapper',
                optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.0),
                clip_grad=dict(max_norm=10),
                _delete_=True,
            ),
            'param_scheduler': [
                dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
                dict(type='MultiStepLR', by_epoch=False, milestones=[95], gamma=0.1),
            ],
            'default_hooks.logger.interval': 20,
            'default_hooks.checkpoint': dict(type='CheckpointHook', interval=1000),
            'log_processor.by_epoch': False,
            'randomness': dict(seed=0),
        }
    )
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.val()['coco/bbox_mAP_50'] >= 0.8
