"""Options that something reads pass; any other is refused with the nearest name."""

import pytest
from mmengine.config import Config, DictAction

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.config.options import check_options
from epsanet_mmdet.errors import ConfigError

NAME = 'mask-rcnn_epsanet50-s_fpn_1x_coco'

# From the documentation of mmdet and mmengine, and from questions of their users.
READ = """
auto_scale_lr.base_batch_size=32
compile=True
default_hooks.finite_loss.priority=LOW
default_hooks.finite_loss=None
data_root=/x
default_hooks.checkpoint.max_keep_ckpts=3
default_hooks.checkpoint.published_keys=[meta]
default_hooks.checkpoint.save_best=auto
default_hooks.logger.log_metric_by_epoch=False
default_hooks.visualization.draw=True
env_cfg.cudnn_benchmark=True
env_cfg.dist_cfg.backend=gloo
env_cfg.mp_cfg.opencv_num_threads=2
experiment_name=x
find_unused_parameters=True
load_from=x.pth
log_processor.custom_cfg=None
log_processor.window_size=20
model.backbone.dcn.deform_groups=1
model.backbone.frozen_stages=2
model.backbone.init_cfg.checkpoint=x.pth
model.backbone.norm_cfg.eps=1e-3
model.backbone.norm_eval=False
model.backbone.stage_with_dcn=(False,True,True,True)
model.backbone.with_cp=True
model.data_preprocessor.batch_augments=None
model.data_preprocessor.pad_size_divisor=64
model.neck.add_extra_convs=on_input
model.neck.norm_cfg.requires_grad=True
model.neck.upsample_cfg.mode=bilinear
model.roi_head.bbox_head.loss_cls.class_weight=[1.0,1.0]
model.roi_head.bbox_head.reg_class_agnostic=True
model.roi_head.bbox_roi_extractor.roi_layer.aligned=True
model.rpn_head.anchor_generator.centers=None
model.rpn_head.anchor_generator.scales=[4]
model.test_cfg.rcnn.nms.class_agnostic=True
model.test_cfg.rcnn.nms.split_thr=1000
model.test_cfg.rcnn.score_thr=0.3
model.test_cfg.rpn.nms_pre=2000
model.train_cfg.rcnn.assigner.ignore_iof_thr=0.5
model.train_cfg.rcnn.sampler.num=64
model.train_cfg.rpn.assigner.gpu_assign_thr=100
model_wrapper_cfg.static_graph=True
optim_wrapper.accumulative_counts=4
optim_wrapper.clip_grad.error_if_nonfinite=True
optim_wrapper.clip_grad.max_norm=35
optim_wrapper.dtype=bfloat16
optim_wrapper.loss_scale=dynamic
optim_wrapper.optimizer.nesterov=True
optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1
optim_wrapper.paramwise_cfg.norm_decay_mult=0
param_scheduler.0.end=100
param_scheduler.1.verbose=True
randomness.deterministic=True
randomness.seed=3
resume=True
skip_bad_images=True
test_evaluator.format_only=True
test_evaluator.outfile_prefix=x
train_cfg.dynamic_intervals=None
train_cfg.max_epochs=1
train_cfg.val_begin=3
train_dataloader.collate_fn.type=default_collate
train_dataloader.dataset.backend_args=None
train_dataloader.dataset.filter_cfg.filter_empty_gt=False
train_dataloader.dataset.indices=100
train_dataloader.dataset.metainfo.classes=('a',)
train_dataloader.dataset.pipeline.0.imdecode_backend=pillow
train_dataloader.dataset.pipeline.1.poly2mask=False
train_dataloader.dataset.pipeline.2.keep_ratio=False
train_dataloader.dataset.pipeline.3.direction=vertical
train_dataloader.drop_last=True
train_dataloader.persistent_workers=False
train_dataloader.pin_memory=True
train_dataloader.prefetch_factor=4
train_dataloader.sampler.seed=4
tta_model.tta_cfg.max_per_img=50
val_cfg.fp16=True
val_evaluator.classwise=True
val_evaluator.iou_thrs=[0.5]
val_evaluator.proposal_nums=(1,10,100)
visualizer.vis_backends.0.save_dir=x
visualizer.alpha=0.5
visualizer.line_width=2
work_dir=x
""".split()

MISSPELT = {
    'optim_wraper.optimizer.lr': 'optim_wrapper',
    'modle.backbone.depth': 'model',
    'model.backbone.dephth': 'depth',
    'model.bakbone.depth': 'backbone',
    'model.data_preprocessor.pad_size_divisors': 'pad_size_divisor',
    'model.roi_head.bbox_head.num_class': 'num_classes',
    'model.test_cfg.rcnn.nms.iou_treshold': 'iou_threshold',
    'model.test_cfg.rcnn.scor_thr': 'score_thr',
    'model.train_cfg.rcnn.sampler.nmu': 'num',
    'train_dataloader.batchsize': 'batch_size',
    'train_dataloader.dataset.data_rot': 'data_root',
    'train_dataloader.dataset.pipeline.2.scal': 'scale',
    'train_cfg.max_epoch': 'max_epochs',
    'optim_wrapper.optimzer.lr': 'optimizer',
    'optim_wrapper.optimizer.weigth_decay': 'weight_decay',
    'optim_wrapper.clip_grad.max_nrom': 'max_norm',
    'optim_wrapper.clip_gard.max_norm': 'clip_grad',
    'default_hooks.chekpoint.interval': 'checkpoint',
    'default_hooks.checkpoint.intervall': 'interval',
    'val_evaluator.metrics': 'metric',
    'env_cfg.cudnn_benchmrk': 'cudnn_benchmark',
    'auto_scale_lr.base_batchsize': 'base_batch_size',
    'log_processor.windowsize': 'window_size',
    'param_scheduler.0.ends': 'end',
    'randomness.sed': 'seed',
    'skip_bad_image': 'skip_bad_images',
    'resume_from': 'resume',
}


@pytest.fixture(scope='module')
def config() -> Config:
    return load_config(NAME)


@pytest.mark.parametrize('option', READ)
def test_a_key_that_something_reads_passes(option, config):
    key, _, value = option.partition('=')
    check_options(config, {key: DictAction._parse_iterable(value)})


@pytest.mark.parametrize('key', MISSPELT)
def test_a_misspelt_key_is_refused_with_the_nearest_name(key, config):
    with pytest.raises(ConfigError) as caught:
        check_options(config, {key: 1})
    message = str(caught.value)
    assert message.startswith(f"option '{key}': ")
    assert message.endswith(f"did you mean '{MISSPELT[key]}'?")


def test_a_key_close_to_none_is_refused_with_the_known_names(config):
    with pytest.raises(ConfigError, match="SGD has no 'rho'; choose one of .*momentum"):
        check_options(config, {'optim_wrapper.optimizer.rho': 1})


@pytest.mark.parametrize(
    'key, place',
    [
        ('lr', 'optim_wrapper.optimizer.lr'),
        ('backbone.depth', 'model.backbone.depth'),
        ('batch_size', 'train_dataloader.batch_size, val_dataloader.batch_size, '),
    ],
)
def test_the_last_names_of_a_key_are_refused_with_the_whole_key(key, place, config):
    with pytest.raises(ConfigError, match=f"no '{key.split('.')[0]}'; change {place}.* instead"):
        check_options(config, {key: 1})


def test_a_type_among_the_options_decides_which_keys_are_read(config):
    adam = {'optim_wrapper.optimizer.type': 'AdamW'}
    check_options(config, {'optim_wrapper.optimizer.betas': (0.9, 0.99), **adam})
    with pytest.raises(ConfigError, match="SGD has no 'betas'"):
        check_options(config, {'optim_wrapper.optimizer.betas': (0.9, 0.99)})
    check_options(config, {'default_hooks.ema.momentum': 0.1, 'default_hooks.ema.type': 'EMAHook'})


def test_a_variable_that_values_were_computed_from_is_refused_with_their_keys():
    name = 'mask-rcnn_epsanet50-s_fpn_small-data'
    with pytest.raises(ConfigError, match='already computed.* change train_cfg.max_epochs instead'):
        load_config(name, {'max_epochs': 1})
    with pytest.raises(ConfigError, match=r'dataloader.dataset.pipeline.\d.scale,.*,.* instead'):
        load_config(name, {'scale': (64, 64)})
    with pytest.raises(ConfigError, match=r'change .*model.backbone.norm_cfg.eps.* instead'):
        load_config(name, {'norm_cfg.eps': 1e-3})
    with pytest.raises(ConfigError, match='change it in the file instead'):
        load_config(name, {'train_pipeline': []})


def test_a_variable_that_a_module_of_the_config_reads_passes(tmp_path, monkeypatch):
    (tmp_path / 'module_that_reads_strength.py').write_text('# reads cfg.strength')
    monkeypatch.syspath_prepend(tmp_path)
    imports = dict(imports=['module_that_reads_strength'])
    config = Config(dict(strength=1, custom_imports=imports))
    check_options(config, {'strength': 2})
    with pytest.raises(ConfigError, match='already computed'):
        check_options(Config(dict(strength=1)), {'strength': 2})


@pytest.mark.parametrize('key', ['modle.x', 'model.backbone.dephth'])
def test_loading_a_config_checks_its_options(key):
    with pytest.raises(ConfigError, match='did you mean'):
        load_config(NAME, {key: 1})
