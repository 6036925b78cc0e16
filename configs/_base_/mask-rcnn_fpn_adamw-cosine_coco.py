_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    './datasets/coco_instance.py',
    './schedules/adamw_cosine.py',
    './default_runtime.py',
]

# As mmdet's schedules have them, with the scope: it counts as a setting of jobs that were begun.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=_base_.max_epochs, val_interval=1, _scope_='mmdet'
)
val_cfg = dict(type='ValLoop', _scope_='mmdet')
test_cfg = dict(type='TestLoop', _scope_='mmdet')
auto_scale_lr = dict(enable=False, base_batch_size=16)
