"""Names from data sets load from a config unchanged or are refused, and execute nothing."""

import json
import random
from pathlib import Path

import pytest
from mmengine.config import Config
from small_data import write_coco
from tool_process import run_tool

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.config.python_text import check_names, comment, config_text, write
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.experiments.job import Job
from epsanet_mmdet.experiments.plan import Comparison, Data, Plan, Variant
from epsanet_mmdet.experiments.settings import resolve_variant
from epsanet_mmdet.own_data.new_config import new_config
from epsanet_mmdet.own_data.new_config.planning import Machine

MODEL, CPU = 'mask-rcnn_epsanet50-s', Machine(0, 2)
MARK = 'names-ran-code'
RUN = f'__import__("os").system("touch${{IFS}}{MARK}")'
ATTACKS = [
    ['{{$X:y', '}}' + RUN + ',#'],
    ["{{'$X:y", "'}}" + RUN + '#'],
    ['{{{$X:y', '}}' + RUN + '#'],
    ['{{$X:' + RUN + '#}}', 'b'],
    ["it's {{_base_.model}}", 'b'],
    ['{{ fileDirname }}', '{{fileBasename}}'],
]
PIECES = [
    *('{{', '}}', '{', '}', '$X:', '$HOME:', "'", '"', '\\', '#', ',', '(', ')', '=', ' ', '\t'),
    *'\n\r\0\x0b\x0c\x85\u2028\u202e\ud800\ufeff\U0001f642',
    *('fileDirname', '_base_.x', 'class', 'é', 'ﬁ', 'Ω', '日本', 'a', 'B', '7', '_', '.', '/', RUN),
    *('# yapf: disable', 'import os', 'with read_base():', '"""', "'''", '\\x7b', '\\N{BULLET}'),
]


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path(MARK).exists()


class Names:
    """Reproducible random names, mostly of pieces with a meaning in Python or mmengine."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def name(self) -> str:
        pick = self.random.choice
        letter = lambda: chr(self.random.randrange(0x110000))  # noqa: E731
        return ''.join(pick([pick(PIECES), letter()]) for _ in range(self.random.randrange(1, 7)))

    def value(self, depth: int = 3):
        kind = self.random.randrange(9 if depth else 5)
        if kind == 0:
            return self.random.choice([None, True, 7, -(10**30), 0.1, 1e300, float('inf'), b'{{a'])
        if kind < 5:
            return self.name()
        items = [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        return {
            5: items,
            6: tuple(items),
            7: {self.name() for _ in items},
            8: {self.name(): item for item in items},
        }[kind]


def load(text: str) -> dict:
    Path('written.py').write_bytes(text.encode())
    return Config.fromfile('written.py').to_dict()


@pytest.mark.parametrize('seed', range(150))
def test_values_load_unchanged(seed):
    names = Names(seed)
    values = {f'name{i}': names.value() for i in range(3)}
    assert load(config_text(values)) == values


@pytest.mark.parametrize('names', ATTACKS, ids=str)
def test_attacks_load_unchanged(names):
    values = dict(classes=tuple(names), places={name: name for name in names})
    assert load(comment(' '.join(names)) + '\n' + config_text(values)) == values


@pytest.mark.parametrize('seed', range(60))
def test_a_comment_stays_a_comment(seed):
    names = Names(seed)
    text = comment(' '.join(names.name() for _ in range(30)))
    assert load(f'{text}\na = 1\n') == dict(a=1)
    assert '{{' not in text


def mmengines_dump_of(values: dict) -> dict:
    Config(values).dump('dumped.py')
    return Config.fromfile('dumped.py').to_dict()


@pytest.mark.parametrize('seed', range(150))
def test_mmengine_dumps_accepted_names_unchanged(seed):
    """Users run the configs that mmengine dumps into work folders."""
    names = Names(seed)
    values = {f'name{i}': names.value(2) for i in range(2)}
    try:
        check_names(values, 'data.json')
    except ConfigError as error:
        assert str(error).startswith("'data.json' has the name ")
        assert str(error).isprintable()
        return
    values = json.loads(json.dumps(values, default=str).replace('Infinity', '0'))
    assert mmengines_dump_of(values) == values


@pytest.mark.parametrize('names', ATTACKS, ids=str)
@pytest.mark.parametrize('as_keys', [False, True])
def test_attacks_on_mmengines_dump_are_refused(as_keys, names):
    values = dict(a={name: 1 for name in names} if as_keys else names)
    with pytest.raises(ConfigError, match="'data.json' has the name .* at a.*rename it"):
        check_names(values, 'data.json')


@pytest.mark.parametrize(
    'key', ["a': 1}, b=" + RUN + ', c={"', "it's", 'a\\', 'a\nb', 'class', 'ﬁ']
)
def test_keys_that_mmengine_does_not_escape_are_refused(key):
    with pytest.raises(ConfigError, match='rename it'):
        check_names({'model': {key: 1}}, 'a.py')
    Path('a.py').write_text(f'model = {{{key!r}: 1}}\n')
    with pytest.raises(ConfigError, match="'a.py' has the name"):
        load_config('a.py')


def rename(ann_file: Path, names) -> None:
    content = json.loads(ann_file.read_text(encoding='utf-8'))
    for category, name in zip(content['categories'], names):
        category['name'] = name
    ann_file.write_text(json.dumps(content))


def make_config(names) -> Config:
    """Write the config of a data set with these category names; load it and its dump."""
    root = write_coco(Path('data').absolute(), 5, 2)
    for path in (root / 'annotations').iterdir():
        rename(path, names)
    path = new_config([str(root)], MODEL, out='mine.py', machine=CPU)
    config = load_config(path)
    config.dump('dumped.py')
    assert load_config('dumped.py').to_dict() == config.to_dict()
    return config


@pytest.mark.parametrize('seed', range(6))
def test_categories_survive_a_new_config_and_its_dump_or_are_refused(seed):
    source = Names(seed)
    names = [source.name() for _ in range(2)]
    try:
        config = make_config(names)
    except Exception as error:
        assert type(error).__module__ == 'epsanet_mmdet.errors'
        assert '.json' in str(error) or 'the data set has' in str(error)
        return
    assert list(config.classes) == names


@pytest.mark.parametrize('seed', range(3))
def test_folders_survive_a_new_config_and_its_dump_or_are_refused(seed):
    name = ''.join(c for c in Names(100 + seed).name() if c not in '/\0' and not c.isspace())
    folder = Path('data', f'x{name.encode(errors="ignore").decode()}').absolute()
    root = write_coco(folder, 5, 2)
    try:
        path = new_config([str(root)], MODEL, out='mine.py', machine=CPU)
    except ConfigError as error:
        assert 'has the name' in str(error) and '{{' in str(error)
        return
    config = load_config(path)
    assert Path(config.train_dataloader.dataset.data_root) == folder
    config.dump('dumped.py')
    assert load_config('dumped.py').to_dict() == config.to_dict()


@pytest.mark.parametrize('names', ATTACKS[:3], ids=str)
def test_a_new_config_of_an_attack_is_refused(names):
    with pytest.raises(ConfigError, match=r"train\.json' has the name .*\{\{"):
        make_config(names)


@pytest.mark.parametrize('seed', range(6))
def test_categories_survive_a_job_of_a_plan_or_are_refused(seed):
    source = Names(seed)
    names = [source.name() for _ in range(2)]
    root = write_coco(Path('data').absolute(), 5, 2)
    for path in (root / 'annotations').iterdir():
        rename(path, names)
    data = Data(str(root), 'annotations/train.json', 'annotations/val.json')
    variant = Variant('mask-rcnn_epsanet50-s_fpn_1x_coco', name='v', label=source.name())
    plan = Plan([Comparison([variant])], title=source.name(), data=data)
    try:
        config = resolve_variant(plan, variant, {})
    except ConfigError as error:
        assert "train.json' has the name" in str(error)
        return
    Job(variant, 0, Path('job').absolute(), config, {}).prepare()
    for file in ('config.py', 'test_config.py'):
        loaded = load_config(f'job/{file}')
        assert list(loaded.train_dataloader.dataset.metainfo.classes) == names
    assert load_config('job/config.py').to_dict() == config.to_dict()


@pytest.mark.parametrize('names', ATTACKS[:1], ids=str)
def test_the_command_that_once_ran_an_attack_ends_in_one_line(names):
    root = write_coco(Path('data').absolute(), 5, 2)
    for path in (root / 'annotations').iterdir():
        rename(path, names)
    annotations = ('--train-ann', 'annotations/train.json', '--val-ann', 'annotations/val.json')
    options = (*annotations, '--epochs', '1', '--workers', '0')
    done = run_tool('reproduce.py', 'small-data', '--data-root', root, *options, cwd=Path())
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert "train.json' has the name" in line and 'rename it' in line


def test_other_objects_and_invalid_variable_names_are_refused():
    for value in (object(), [len], {1: print}):
        with pytest.raises(ConfigError, match='no value that a config can hold'):
            write(value)
    for name in ('class', 'a b', "a'", 'ﬁ', ''):
        with pytest.raises(ConfigError):
            config_text({name: 1})


def test_values_are_written_in_the_style_of_mmdets_configs():
    assert write((1,)) == '(1,)' and write(dict(a=[1, 'x'], b=None)) == "dict(a=[1, 'x'], b=None)"
    assert write({'a b': 1}) == "{'a b': 1}"
    assert eval(write({'a': {'b': ['x' * 60, 'y' * 60]}})) == dict(a=dict(b=['x' * 60, 'y' * 60]))
    assert comment('one\ntwo') == '# one?two'
    lines = config_text(dict(name=[dict(a='x' * 30)] * 5)).splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 100
