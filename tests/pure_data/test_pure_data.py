"""A stranger's config: pure data is read, and whatever would run code is named and not run."""

import os

import pytest

from epsanet_mmdet.configs import configs_dir, load_config
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.pure_data import find_code, load_pure_config
from epsanet_mmdet.pure_data.command import run_check
from epsanet_mmdet.pure_data.evaluate import LARGEST, Evaluation

SHIPPED = sorted(configs_dir().rglob('*.py'))


@pytest.fixture
def write(tmp_path):
    def call(text, name='config.py'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return call


@pytest.fixture
def marker(tmp_path):
    """A file that no config may leave."""
    path = tmp_path / 'ran'
    yield path
    assert not path.exists(), 'the config ran code'


# What passes


def test_what_it_reads_is_what_mmengine_reads(write):
    write('a = 1\nmodel = dict(neck=dict(c=[1, 2]), type=None)\n', 'base.py')
    path = write(
        "_base_ = './base.py'\n"
        "classes = ('cat', 'dog')\n"
        'n = len(classes)\n'
        'more = dict(x=-1.5, y=[n, n * 2, 7 // 2], z=dict(**_base_.model.neck), s={1, 2})\n'
        "root = '{{$SOME_ROOT:data/x}}/' + 'images'\n"
        "name = '{{ fileBasenameNoExtension }}'\n"
        'again = {{_base_.a}}\n'
        'first = classes[0]\n'
        'model = dict(neck=dict(d=list((3, 4))))\n'
    )
    config = load_pure_config(path)
    assert config.to_dict() == load_config(path).to_dict()
    assert config.more.z == dict(c=[1, 2]) and config.again == 1 and config.n == 2
    assert config.root == 'data/x/images' and config.name == 'config'
    assert config.model.neck == dict(c=[1, 2], d=[3, 4])


@pytest.mark.parametrize('path', SHIPPED[::12], ids=lambda p: p.stem)
def test_shipped_configs_are_pure_data(path):
    assert find_code(str(path)) == []


@pytest.mark.parametrize('path', SHIPPED, ids=lambda p: f'{p.parent.name}/{p.stem}')
def test_the_text_of_every_shipped_config_is_literals_and_names(path):
    text = path.read_text().replace('{{', '').replace('}}', '')
    refusals = Evaluation(text, str(path), {}).refusals
    assert [r for r in refusals if '_base_' not in r.what] == []


# What is refused, by file and line


RUNNING = {
    'call': "a = 1\nb = __import__('os').system('touch {marker}')",
    'bare call': "a = 1\nopen('{marker}', 'w')",
    'import': 'a = 1\nimport os',
    'from import': 'a = 1\nfrom os import system',
    'function': 'a = 1\ndef f(x=open("{marker}", "w")): pass',
    'class': 'a = 1\nclass A: x = open("{marker}", "w")',
    'lambda': 'a = 1\nb = (lambda: open("{marker}", "w"))()',
    'comprehension': 'a = 1\nb = [open("{marker}", "w") for _ in (1,)]',
    'f-string': 'a = 1\nb = f\'{{open("{marker}", "w")}}\'',
    'attribute': 'a = 1\nb = a.__class__',
    'attribute of a text': "a = 1\nb = 'x'.format",
    'builtins': "a = 1\nb = __builtins__['open']('{marker}', 'w')",
    'dunder': 'a = 1\n__builtins__ = dict()',
    'shadowed dict': 'a = 1\ndict = 3',
    'method of a base': 'a = 1\nb = _base_.update(c=1)',
    'with': 'a = 1\nwith open("{marker}", "w"): pass',
    'loop': 'a = 1\nwhile True: pass',
    'condition': 'a = 1\nif open("{marker}", "w"): b = 2',
    'conditional value': 'a = 1\nb = 1 if open("{marker}", "w") else 2',
    'walrus': 'a = 1\nb = (c := open("{marker}", "w"))',
    'decorator': 'a = 1\n@print\ndef f(): pass',
    'annotation': 'a = 1\nb: open("{marker}", "w") = 2',
    'argument of dict': 'a = 1\nb = dict(x=open("{marker}", "w"))',
    'key': 'a = 1\nb = {{open("{marker}", "w"): 1}}',
    'index': 'a = 1\nb = [1][open("{marker}", "w")]',
    'item assignment': 'a = 1\na[0] = 2',
    'power': 'a = 1\nb = 9 ** 9 ** 9 ** 9',
    'shift': 'a = 1\nb = 1 << 10 ** 10',
    'formatting': "a = 1\nb = '%999999999d' % 1",
    'unknown name': 'a = 1\nb = print',
    'star': 'a = 1\nb = [*open("{marker}", "w")]',
    'lazy base': 'a = 1\nwith read_base():\n    from .evil import *',
    'other environment variable': "a = 1\nb = '{{{{$AWS_SECRET:x}}}}'",
    'variable that is a pattern': "a = 1\nb = '{{{{$X_ROOT:(a+)+$}}}}'",
}


@pytest.mark.parametrize('name', RUNNING)
def test_what_would_run_is_refused_by_its_line(name, write, marker):
    path = write(RUNNING[name].format(marker=marker))
    refusals = find_code(path)
    assert {(r.file, r.line) for r in refusals} == {(path, 2)}
    with pytest.raises(ConfigError, match='line 2') as caught:
        load_config(path, data_only=True)
    assert '\n' not in str(caught.value)


def test_what_is_refused_does_run_as_python(write, tmp_path):
    """Else the tests above would prove nothing."""
    load_config(write(f"b = __import__('pathlib').Path('{tmp_path}/ran').touch()"))
    assert (tmp_path / 'ran').exists()


def test_all_lines_are_listed(write, capsys):
    path = write('import os\na = 1\nb = print(1)\nc = [x for x in ()]\n')
    assert run_check([path]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert '3 refused' in lines[0]
    assert [line.split('line ')[1].split(':')[0] for line in lines[1:]] == ['1', '3', '4']


def test_pure_data_is_said_to_be(write, capsys):
    assert run_check([write('a = 1')]) == 0
    assert 'pure data' in capsys.readouterr().out


@pytest.mark.parametrize(
    'base',
    [
        "'./evil.py'",
        "['./good.py', './evil.py']",
        "'inner/../evil.py'",
        "('./evil.py',)",
    ],
)
def test_bases_are_checked_too(base, write, marker):
    evil = write(f'import os\nopen("{marker}", "w")', 'evil.py')
    write('a = 1', 'good.py')
    refusals = find_code(write(f'_base_ = {base}\nb = 1'))
    assert [(r.file, r.line) for r in refusals] == [(evil, 1), (evil, 2)]


@pytest.mark.parametrize(
    'base',
    [
        "open('{marker}', 'w')",
        "'os::x.py'",
        "'mmdet::../../../../tmp/x.py'",
        "'mmdet::/tmp/x.py'",
        "'base.yaml'",
        "'base.json'",
        "'.' + '/evil.py'",
        '1',
    ],
)
def test_bases_that_are_not_checked_are_refused(base, write, marker):
    write('!!python/object/apply:os.system [exit]', 'base.yaml')
    write('{}', 'base.json')
    assert find_code(write(f'a = 1\n_base_ = {base.format(marker=marker)}'))


def test_two_bases_lines_are_refused(write, marker):
    write(f'open("{marker}", "w")', 'evil.py')
    write('a = 1', 'good.py')
    assert find_code(write("_base_ = './good.py'\n_base_ = './evil.py'\n"))
    assert find_code(write("x = _base_ = './evil.py'\n"))


def test_bases_without_end(write):
    assert 'no end' in str(find_code(write("_base_ = './config.py'"))[0])
    write("_base_ = './config.py'", 'b.py')
    assert 'no end' in str(find_code(write("_base_ = './b.py'"))[0])


# What mmengine would import or run by name


NAMES = {
    'function by its path': "custom_hooks = [dict(type='os.system', command='touch {marker}')]",
    'function in a package': "hook = dict(type='mmengine.load', file='x')",
    'module of a module': "hook = dict(type='mmengine.runner.runner.os.system')",
    'unknown type': "model = dict(type='antigravity')",
    'constructor': "optim_wrapper = dict(type='OptimWrapper', constructor='subprocess.Popen')",
    'nms is evaluated': 'x = dict(nms=dict(type=\'__import__("os").system("x")\'))',
    'scope': "default_scope = 'this'",
    'inner scope': "model = dict(type='EPSANet', _scope_='this')",
    'pickle': "dataset = dict(ann_file='annotations.pkl')",
    'YAML': "dataset = dict(proposal_file='a.yaml')",
    'type that evaluates': "hook = dict(type='RFSearchHook', mode='search', config=dict())",
    'import of another module': "custom_imports = dict(imports=['this'])",
    'import of one that looks the same': "custom_imports = dict(imports='mmdetx')",
    'import beside a good one': "custom_imports = dict(imports=['mmdet', 'os.path'])",
    'import of a strange form': 'custom_imports = [1]',
    'import by a path': "custom_imports = dict(imports=['mmdet.../evil'])",
}


@pytest.mark.parametrize('name', NAMES)
def test_names_that_run_code_are_refused(name, write, marker):
    path = write(NAMES[name].format(marker=marker))
    (refusal,) = find_code(path)
    with pytest.raises(ConfigError):
        load_config(path, data_only=True)
    assert refusal.file == path


@pytest.mark.parametrize(
    'text',
    [
        "custom_imports = dict(imports=['epsanet_mmdet'], allow_failed_imports=False)",
        "model = dict(type='EPSANet')",
        "model = dict(type='mmdet.ResNet', roi_layer=dict(type='RoIAlign'))",
        "visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])",
        "nms = dict(type='soft_nms')",
        "default_scope = 'mmdet'",
        "optim_wrapper = dict(optimizer=dict(type='AdamW'))",
    ],
)
def test_names_of_registered_things_pass(text, write):
    assert find_code(write(text)) == []


# Time, memory and the file system


@pytest.mark.parametrize(
    'text',
    [
        f"a = 'x' * {LARGEST + 1}",
        f'a = [0] * {LARGEST + 1}',
        "a = 'x' * 1000\n" + 'a = a + a\n' * 60,
        'a = [1, 2]\n' + 'a = [a, a]\n' * 60,
        'a = dict(x=1)\n' + 'a = dict(x=a, y=a)\n' * 60,
        'a = [1, 2]\n' + 'a = [*a, *a]\n' * 60,
        'a = 10\n' + 'a = a * a\n' * 60,
        'a = ' + '-' * 5000 + '1',
        'a = ' + '(' * 5000 + ')' * 5000,
        'a = ' + '[' * 150 + ']' * 150 + '\n' + 'b = 1 +' * 20000 + '1',
        'a = 1\n' * 600000,
    ],
    ids=range(11),
)
def test_values_that_grow_without_end_are_refused(text, write):
    assert find_code(write(text))


@pytest.mark.parametrize('name', ["x'+a+'.py", 'x"y.py', 'a\nimport os #.py'])
def test_a_file_name_cannot_become_code(name, write):
    path = write("a = '{{ fileBasename }}'", name)
    assert [r.line for r in find_code(path)] == [1]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.py')
    with pytest.raises(ConfigError, match='pipe'):
        find_code(str(tmp_path / 'pipe.py'))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / 'a.py').write_bytes(b'a = "\xff\xfe"')
    with pytest.raises(ConfigError, match='cannot be read'):
        find_code(str(tmp_path / 'a.py'))


def test_the_environment_asks_for_pure_data_in_every_tool(write, marker, monkeypatch):
    path = write(f'a = open("{marker}", "w")')
    monkeypatch.setenv('PURE_DATA_CONFIGS', '1')
    with pytest.raises(ConfigError, match='not pure data'):
        load_config(path)
    assert load_config(write('a = 1')).a == 1
    monkeypatch.setenv('PURE_DATA_CONFIGS', 'yes')
    with pytest.raises(ConfigError, match='set it to 1 or 0'):
        load_config(path)
