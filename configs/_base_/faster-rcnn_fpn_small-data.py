# Faster R-CNN for comparing backbones on some hundred images with boxes: the Mask R-CNN for small
# data without masks, and with the assignment of mmdet's Faster R-CNN.
_base_ = './mask-rcnn_fpn_small-data.py'

model = dict(
    type='FasterRCNN',
    roi_head=dict(mask_roi_extractor=None, mask_head=None),
    train_cfg=dict(rcnn=dict(assigner=dict(match_low_quality=False))),
)

boxes = dict(type='LoadAnnotations', with_bbox=True)
train_pipeline, test_pipeline = (
    [boxes if step['type'] == boxes['type'] else step for step in pipeline]
    for pipeline in (_base_.train_pipeline, _base_.test_pipeline)
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
