"""A resumed run ends with the weights of an uninterrupted one, bit for bit."""

import pytest
import torch
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS as MMDET_TRANSFORMS
from mmdet.utils import register_all_modules
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, TRANSFORMS
from toy_interruption import assert_same, train
from toy_training import EPOCH_LENGTH, EPOCHS, NoisyData, toy_runner, weights

from epsanet_mmdet.engine.hooks.exact_resume import caching_transforms

ITERATIONS = EPOCHS * EPOCH_LENGTH


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('after', [1, 3, EPOCH_LENGTH, EPOCH_LENGTH + 2, ITERATIONS - 1])
def test_a_run_resumed_at_any_iteration_ends_with_the_same_weights(after, workers, tmp_path):
    options = dict(randomness=dict(seed=5), train_dataloader__num_workers=workers)
    whole = train(tmp_path / 'whole', **options)
    train(tmp_path / 'cut', after, **options)
    resumed = train(tmp_path / 'cut', resume=True, **options)
    assert_same(whole, resumed)
    assert (resumed.iter, resumed.epoch) == (ITERATIONS, EPOCHS)


def test_a_run_resumed_from_the_checkpoint_of_an_epoch_ends_with_the_same_weights(tmp_path):
    options = dict(randomness=dict(seed=5))
    whole = train(tmp_path / 'whole', **options)
    train(tmp_path / 'cut', EPOCH_LENGTH + 3, **options)
    (tmp_path / 'cut' / 'interrupted.pth').unlink()
    (tmp_path / 'cut' / 'last_checkpoint').write_text(str(tmp_path / 'cut' / 'epoch_1.pth'))
    assert_same(whole, train(tmp_path / 'cut', resume=True, **options))


def test_without_a_seed_the_run_resumes_with_the_one_it_drew(tmp_path):
    cut = train(tmp_path, EPOCH_LENGTH + 1)
    seen = list(cut.train_dataloader.dataset.loaded[EPOCH_LENGTH * 4 - 2 :])
    resumed = train(tmp_path, resume=True)
    assert resumed.seed == cut.seed
    rest = resumed.train_dataloader.dataset.loaded[: 14 - len(seen)]
    assert sorted(seen + rest) == list(range(14))  # every image of the epoch once


def test_without_a_seed_two_runs_differ(tmp_path):
    first, second = train(tmp_path / 'a'), train(tmp_path / 'b')
    assert not torch.equal(weights(first)['layers.0.weight'], weights(second)['layers.0.weight'])


def test_data_do_not_depend_on_the_number_of_workers(tmp_path):
    runs = [
        train(tmp_path / str(n), randomness=dict(seed=1), train_dataloader__num_workers=n)
        for n in (0, 1, 3)
    ]
    assert_same(runs[0], runs[1])
    assert_same(runs[0], runs[2])


def test_every_epoch_and_every_image_has_its_own_random_numbers(tmp_path):
    noise = []

    class Note(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            noise.extend(
                float(x[0]) - int(name[6:-4])
                for x, name in zip(data_batch['inputs'], data_batch['data_samples'])
            )

    for n, workers in enumerate((0, 2)):
        runner = toy_runner(
            tmp_path / str(workers),
            randomness=dict(seed=n),
            train_dataloader__num_workers=workers,
            train_dataloader__persistent_workers=workers > 0,
        )
        runner.register_hook(Note())
        runner.train()
    assert len(noise) == 2 * EPOCHS * 14
    assert len(set(noise)) == len(noise)


def test_finished_batches_load_no_image(tmp_path):
    options = dict(randomness=dict(seed=5))
    train(tmp_path, EPOCH_LENGTH - 1, **options)
    resumed = train(tmp_path, resume=True, **options)
    assert len(resumed.train_dataloader.dataset.loaded) == 2 + (EPOCHS - 1) * 14


def test_the_moving_average_is_resumed(tmp_path):
    hooks = [dict(type='ExactResumeHook'), dict(type='EMAHook', momentum=0.1)]
    options = dict(randomness=dict(seed=5), custom_hooks=hooks)
    whole = train(tmp_path / 'whole', **options)
    train(tmp_path / 'cut', EPOCH_LENGTH + 1, **options)
    train(tmp_path / 'cut', resume=True, **options)
    name = f'epoch_{EPOCHS}.pth'
    first, second = (
        torch.load(tmp_path / run / name, weights_only=False) for run in ('whole', 'cut')
    )
    assert whole.iter == ITERATIONS
    for part in ('state_dict', 'ema_state_dict'):
        for key, value in first[part].items():
            assert torch.equal(value, second[part][key]), key


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
@pytest.mark.parametrize('workers', [0, 2])
def test_iteration_based_training_resumes_with_the_same_weights(workers, sampler, tmp_path):
    options = dict(
        randomness=dict(seed=5),
        train_dataloader__num_workers=workers,
        train_dataloader__sampler__type=sampler,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=9, _delete_=True),
        param_scheduler=[dict(type='LinearLR', by_epoch=False, begin=0, end=5)],
        default_hooks__checkpoint=dict(by_epoch=False, interval=3),
        log_processor=dict(by_epoch=False),
    )
    whole = train(tmp_path / 'whole', **options)
    train(tmp_path / 'cut', 5, **options)
    resumed = train(tmp_path / 'cut', resume=True, **options)
    assert_same(whole, resumed)
    if not workers:
        assert len(resumed.train_dataloader.dataset.loaded) in (14, 15, 16)  # 4 batches


def test_another_batch_size_keeps_the_position_in_the_epoch(tmp_path):
    train(tmp_path, EPOCH_LENGTH // 2, randomness=dict(seed=5))
    resumed = train(tmp_path, resume=True, randomness=dict(seed=5), train_dataloader__batch_size=2)
    assert len(resumed.train_dataloader.dataset.loaded) == 14 - 3 * 2 + (EPOCHS - 1) * 14


# Transforms that cache images


@DATASETS.register_module()
class Pictures(NoisyData):
    """A data set with a pipeline, like those of mmdet."""

    def __init__(self, pipeline, **kwargs):
        super().__init__(**kwargs)
        self.pipeline = Compose([TRANSFORMS.build(step) for step in pipeline])


def test_a_warning_names_transforms_that_cache_images(tmp_path, capsys):
    steps = [dict(type='mmdet.CachedMosaic'), dict(type='mmdet.CachedMixUp')]
    pipeline = [steps[0], dict(type='RandomApply', transforms=[steps[1]])]
    dataset = dict(type='Pictures', pipeline=pipeline, _delete_=True)
    toy_runner(tmp_path, train_dataloader__dataset=dataset, log_level='WARNING').train()
    assert 'CachedMixUp, CachedMosaic cache images of earlier iterations' in capsys.readouterr().out


def test_caching_transforms_are_found_in_wrapped_data_sets():
    pictures = Pictures([dict(type='mmdet.CachedMixUp')])
    wrapped = torch.utils.data.Subset(torch.utils.data.ConcatDataset([pictures]), [0])
    assert caching_transforms(wrapped) == {'CachedMixUp'}


def test_no_other_transform_of_mmdet_counts_as_caching(tmp_path, capsys):
    register_all_modules(init_default_scope=False)
    suspected, built = set(), 0
    for registry in (MMDET_TRANSFORMS, TRANSFORMS):
        for kind in registry.module_dict.values():
            try:
                step = kind()
            except Exception:  # it needs arguments
                continue
            built += 1
            suspected |= caching_transforms(step)
    assert built > 40 and suspected == {'CachedMosaic', 'CachedMixUp'}
    toy_runner(tmp_path, log_level='WARNING').train()
    assert 'cache images' not in capsys.readouterr().out
