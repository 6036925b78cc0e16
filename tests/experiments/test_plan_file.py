"""A plan file is read into a plan, or refused with one line that names what is wrong."""

import pytest
import yaml
from one_line import error_line

from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.experiments.plan_file import find_plan, plans_dir, read_plan

CONFIG = 'mask-rcnn_epsanet50-s_fpn_1x_coco'
OTHER = 'mask-rcnn_senet50_fpn_1x_coco'
ROWS = [dict(name='a', config=CONFIG), dict(name='b', config=OTHER)]


@pytest.fixture
def write(tmp_path):
    def write(content) -> str:
        path = tmp_path / 'my plan.yml'
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        path.write_text(text, encoding='utf-8')
        return str(path)

    return write


def refusal(name, changes=None) -> str:
    return error_line(ConfigError, read_plan, name, changes)


def test_a_list_of_configs_is_a_plan(write):
    plan = read_plan(write(dict(rows=[CONFIG, OTHER])))
    assert [variant.name for variant in plan.variants] == [CONFIG, OTHER]
    assert plan.seeds == [0]
    assert plan.comparisons[0].baseline == CONFIG
    assert plan.name == plan.title == 'my plan'


def test_empty_keys_keep_their_defaults(write):
    plan = read_plan(write('rows: [' + CONFIG + ']\ntitle:\ndata:\ntraining:\n'))
    assert (plan.title, plan.data.root, plan.training.epochs) == ('my plan', None, None)


def test_numbers_are_accepted_as_names(write):
    plan = read_plan(write(dict(rows=[dict(config=CONFIG, name=50, label=1.5)], title=2026)))
    assert (plan.title, plan.variants[0].name, plan.variants[0].label) == ('2026', '50', '1.5')


def test_comparisons_have_their_own_baselines(write):
    groups = [dict(name='x', rows=[ROWS[0]]), dict(name='y', rows=[ROWS[1]], allow=['train_cfg'])]
    plan = read_plan(write(dict(comparisons=groups)))
    assert [c.baseline for c in plan.comparisons] == ['a', 'b']
    assert plan.comparisons[1].allow == ['train_cfg']


def test_changes_replace_values_of_any_depth(write):
    changes = {'data.root': 'elsewhere', 'seeds': [3, 4], 'launcher.gpus': 2}
    plan = read_plan(write(dict(rows=ROWS, launcher=dict(type='pytorch', gpus=8))), changes)
    assert (plan.data.root, plan.seeds) == ('elsewhere', [3, 4])
    assert (plan.launcher.type, plan.launcher.gpus) == ('pytorch', 2)


def test_changed_weights_replace_those_of_single_variants(write):
    path = write(dict(weights='a.pth', rows=[{**ROWS[0], 'weights': 'mine.pth'}, ROWS[1]]))
    assert [v.weights for v in read_plan(path, {'seeds': [3]}).variants] == ['mine.pth', None]
    plan = read_plan(path, {'weights': 'scratch'})
    assert plan.weights == 'scratch'
    assert [v.weights for v in plan.variants] == [None, None]


def test_kept_variants_are_compared_with_the_baseline_or_the_first_of_them(write):
    third = dict(name='c', config=OTHER)
    path = write(dict(baseline='b', rows=[*ROWS, third]))
    for names, baseline in ((['c', 'b'], 'b'), (['c', 'a'], 'a'), (['c'], 'c')):
        plan = read_plan(path)
        plan.keep(names)
        assert {variant.name for variant in plan.variants} == set(names)
        assert plan.comparisons[0].baseline == baseline


def test_comparisons_of_which_nothing_is_kept_are_left_out(write):
    groups = [dict(name='x', rows=[ROWS[0]]), dict(name='y', rows=[ROWS[1]])]
    plan = read_plan(write(dict(comparisons=groups)))
    plan.keep(['b'])
    assert [comparison.name for comparison in plan.comparisons] == ['y']


def test_an_unknown_variant_to_keep_is_answered_with_the_closest(write):
    plan = read_plan(write(dict(rows=[dict(name='resnet50', config=CONFIG), ROWS[1]])))
    message = error_line(ConfigError, plan.keep, ['resnet'])
    assert "no variant 'resnet'; did you mean 'resnet50'?" in message


def test_a_plan_with_a_detector_can_use_another(write):
    rows = ['epsanet50-s_fpn_1x_coco', dict(name='a', config='senet50_fpn_1x_coco')]
    path = write(dict(detector='mask-rcnn', rows=rows))
    plan = read_plan(path)
    assert list(map(plan.config_of, plan.variants)) == [CONFIG, OTHER]
    assert [variant.name for variant in plan.variants] == ['epsanet50-s_fpn_1x_coco', 'a']
    plan = read_plan(path, {'detector': 'faster-rcnn'})
    assert list(map(plan.config_of, plan.variants)) == [
        *('faster-rcnn_epsanet50-s_fpn_1x_coco', 'faster-rcnn_senet50_fpn_1x_coco'),
    ]
    message = refusal(path, {'detector': 'fast-rcnn'})
    assert 'fast-rcnn_epsanet50-s' in message and 'faster-rcnn_epsanet50-s' in message


def test_another_detector_needs_one_in_the_plan(write):
    assert '--detector' in refusal(write(dict(rows=ROWS)), {'detector': 'retinanet'})


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        (dict(rows=None), ["no 'rows'"]),
        (dict(rows=[]), ["'rows' is []", 'length >= 1']),
        (dict(rows='a.py'), ["'rows'", 'a.py', 'must be a list']),
        (dict(rows=['mask-rcnn_epsanet50-x_fpn_1x_coco']), ['epsanet50-x', CONFIG]),
        (dict(detector='mask-rcnn'), [f'mask-rcnn_{CONFIG}']),
        (dict(detector=5), ['detector', '5', 'a text']),
        (dict(rows=[dict(name='a')]), ['rows[0]', "no 'config'"]),
        (dict(rows=[dict(config=CONFIG, nmae='a')]), ['rows[0].nmae', "mean 'name'"]),
        (dict(rows=[*ROWS, ROWS[0]]), ["name 'a'"]),
        (dict(rows=[dict(ROWS[0], label='x'), dict(ROWS[1], label='x')]), ["label 'x'"]),
        (dict(rows=[dict(config=CONFIG, name='../a')]), ['../a', 'letters']),
        (dict(rows=[dict(config=CONFIG, published='mask-rcnn/senet')]), ['mask-rcnn/senet50']),
        (dict(rows=[dict(config=CONFIG, weights=3)]), ['rows[0].weights', '3', 'text']),
        (dict(seed=[0]), ["'seed'", "'seeds'"]),
        (dict(seeds=[0, 1, 0]), ['seed 0', 'twice']),
        (dict(seeds=[]), ['seeds', 'length >= 1']),
        (dict(seeds=[0.5]), ['seeds[0]', '0.5', 'whole number']),
        (dict(seeds=[-1]), ['-1']),
        (dict(seeds=[True]), ['seeds[0]', 'True', 'whole number']),
        (dict(baseline='c'), ["'c'", 'a, b']),
        (dict(comparisons=[dict(rows=ROWS)]), ['both']),
        (dict(allow='model'), ["'allow'", 'must be a list']),
        (dict(data=dict(rot='x')), ['data.rot', "'root'"]),
        (dict(data=dict(train_ann='x')), ['both']),
        (dict(data=dict(root=3)), ['data.root']),
        (dict(data=dict(paths=3)), ['data.paths', 'a text or a list']),
        (dict(data=dict(paths=[])), ['data.paths', 'length >= 1']),
        (dict(data=dict(paths='x', root='y')), ['--data', 'root', 'exclude']),
        (dict(data=dict(images='x')), ['--images', '--data']),
        (dict(data=dict(test_ann='x')), ['--test-ann']),
        (dict(data=[1]), ['data']),
        (dict(training=dict(epochs=0)), ['training.epochs', '0', '>= 1']),
        (dict(training=dict(epochs='ten')), ['ten']),
        (dict(training=dict(image_scale=[3])), ['training.image_scale', 'length 2']),
        (dict(launcher=dict(type='mpi')), ['mpi', 'slurm']),
        (dict(launcher=dict(type='slurm', gpus=12)), ['12', 'multiple']),
        (dict(launcher=dict(type='slurm', jobs=2)), ['jobs', 'Slurm decides']),
        (dict(launcher=dict(jobs=0)), ['launcher.jobs', '0', '>= 1']),
        (dict(launcher=dict(type='slurm', job_name='a\ntouch b')), ['control characters']),
        (dict(launcher=dict(type='slurm', sbatch_args=['-p\nb'])), ['control characters']),
        (dict(overrides=['a=1']), ['overrides']),
        (dict(needs_data=True), ['--data to its folder', '--data-root']),
        (dict(name='a'), ["unknown key 'name'"]),
        (dict(report=dict(score_thr=2)), ['report.score_thr', '<= 1']),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(changed, words, write):
    content = {k: v for k, v in {'rows': ROWS, **changed}.items() if v is not None}
    message = refusal(write(content))
    for word in ('my plan.yml', *words):
        assert word in message


@pytest.mark.parametrize(
    ('text', 'word'),
    [
        ('rows: [a', 'line'),
        ('a: b: c', 'line 1'),
        ('', 'key: value'),
        ('just words', 'key: value'),
        ('[' * 5000, 'not YAML'),
        ('\x00', 'not YAML'),
        ('? [1, 2]\n: 3', 'is not'),
        ('1: 2', 'text'),
    ],
)
def test_a_file_that_is_not_yaml_is_named(text, word, write):
    message = refusal(write(text))
    assert 'my plan.yml' in message and word in message


def test_a_plan_runs_no_code(write, tmp_path):
    mark = tmp_path / 'mark'
    text = f"title: !!python/object/apply:os.mkdir ['{mark}']\nrows: [{CONFIG}]\n"
    assert 'not YAML' in refusal(write(text))
    assert not mark.exists()


def test_an_unknown_plan_is_answered_with_the_shipped_ones():
    assert 'small-data' in refusal('smal-data')
    with pytest.raises(ConfigError, match='coco-minimal'):
        find_plan('????')


@pytest.mark.parametrize('name', sorted(path.stem for path in plans_dir().glob('*.yml')))
def test_shipped_plans_can_be_read(name):
    data = {'data.root': 'd', 'data.train_ann': 't.json', 'data.val_ann': 'v.json'}
    needs_data = 'needs_data: true' in find_plan(name).read_text()
    plan = read_plan(name, data if needs_data else None)
    assert plan.variants and plan.title
