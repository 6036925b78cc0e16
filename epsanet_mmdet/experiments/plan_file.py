"""Reading plans and saying what is wrong with them."""

import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import yaml

from ..config.load import configs_dir, find_config
from ..errors import ConfigError
from ..utils.text import suggestion
from .plan import LAUNCHERS, SCRATCH, Comparison, Data, Launcher, Plan, Report, Row, Training
from .published import published_row


def plans_dir() -> Path:
    """Return the folder of the shipped plans."""
    return configs_dir() / 'plans'


def find_plan(name: str) -> Path:
    """Find a plan by its path, or a shipped one by its bare name.

    Raises:
        ConfigError: If there is none; it names the closest ones.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = {path.stem: path for path in sorted(plans_dir().glob('*.yml'))}
    stem = re.sub(r'\.ya?ml$', '', name)
    if stem in shipped:
        return shipped[stem]
    raise ConfigError(
        f"there is no plan '{name}', neither as a file nor by name; "
        f'{suggestion(stem, shipped, most=3)}'
    )


def read_plan(name: str, changes: Optional[Dict[str, Any]] = None) -> Plan:
    """Read a plan and check it; its configs are looked for, not read.

    Args:
        name: Path, or bare name of a shipped plan.
        changes: Values by dotted key, such as ``data.root``, that replace the file's; ``weights``
            replace those of its rows too.

    Raises:
        ConfigError: One line that names the plan, what is wrong with it, and the remedy.
    """
    path = find_plan(name)
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, 'problem_mark', None)
        where = f' in line {mark.line + 1}' if mark else ''
        reason = getattr(error, 'problem', None) or str(error).splitlines()[0]
        raise ConfigError(f"plan '{path}' is not YAML{where}: {reason}; correct it there")
    reader = _Reader(str(path))
    reader.is_mapping(content, '')
    for key, value in (changes or {}).items():
        holder, _, last = key.rpartition('.')
        target = content.setdefault(holder, {}) if holder else content
        if target is None:
            target = content[holder] = {}
        reader.is_mapping(target, holder)
        target[last] = value
    plan = reader.plan(content, path.stem)
    if 'weights' in (changes or {}):
        for row in plan.rows:
            row.weights = None
    return plan


class _Reader:
    """Turns what YAML gave into a plan; every complaint names the file and the key."""

    def __init__(self, path: str) -> None:
        self.path = path

    def plan(self, content: Dict, name: str) -> Plan:
        content = dict(content)
        single = {k: content.pop(k) for k in ('rows', 'baseline', 'allow') if k in content}
        if single and 'comparisons' in content:
            self.fail(f"it has both 'comparisons' and '{next(iter(single))}'; keep one of them")
        groups = content.pop('comparisons', [single] if single else [])
        self.is_list(groups, 'comparisons')
        if not groups:
            self.fail("it has no 'rows'; list the configs to compare")
        known = [f.name for f in fields(Plan) if f.name not in ('name', 'comparisons')]
        self.known_keys(content, [*known, 'comparisons', 'rows', 'baseline', 'allow'], '')
        comparisons = [self.comparison(g, i, bool(single)) for i, g in enumerate(groups)]
        parts = dict(data=Data, training=Training, launcher=Launcher, report=Report)
        made = {key: self.part(kind, content.pop(key, None), key) for key, kind in parts.items()}
        plan = Plan(name=name, title=str(content.pop('title', name)), comparisons=comparisons)
        for key, value in {**content, **made}.items():
            setattr(plan, key, value)
        self.check(plan)
        return plan

    def comparison(self, content: Any, index: int, single: bool) -> Comparison:
        where = '' if single else f'comparisons[{index}]'
        self.is_mapping(content, where)
        self.known_keys(content, [f.name for f in fields(Comparison)], where)
        rows = content.get('rows')
        self.is_list(rows, f'{where}.rows')
        if not rows:
            self.fail(f"'{where}.rows' is empty; list the configs to compare")
        content = {
            **content,
            'rows': [self.row(r, f'{where}.rows[{i}]') for i, r in enumerate(rows)],
        }
        made = Comparison(**content)
        self.is_texts(made.allow, f'{where}.allow')
        names = [row.name for row in made.rows]
        made.baseline = made.baseline or names[0]
        if made.baseline not in names:
            self.fail(f"its baseline '{made.baseline}' is none of the rows {', '.join(names)}")
        return made

    def row(self, content: Any, where: str) -> Row:
        row = self.part(Row, {'config': content} if isinstance(content, str) else content, where)
        if not isinstance(row.config, str):
            self.fail(f"'{where}' has no config; give a path or bare name")
        try:
            find_config(row.config)
        except ConfigError as error:
            self.fail(f"'{where}': {error}")
        row.name = str(row.name or Path(row.config).stem)
        if not re.fullmatch(r'[\w.+-]+', row.name) or row.name.startswith('.'):
            self.fail(f"'{where}.name' is '{row.name}'; use letters, digits, '-', '_' and '.'")
        row.label = str(row.label or row.name)
        self.is_mapping(row.overrides, f'{where}.overrides')
        if row.published is not None:
            try:
                published_row(row.published)
            except ConfigError as error:
                self.fail(f"'{where}.published': {error}")
        return row

    def part(self, kind: type, content: Any, where: str) -> Any:
        content = {} if content is None else content
        self.is_mapping(content, where)
        self.known_keys(content, [f.name for f in fields(kind)], where)
        try:
            return kind(**content)
        except TypeError:
            self.fail(f"'{where}' has no config; give a path or bare name")

    def check(self, plan: Plan) -> None:
        self.is_list(plan.seeds, 'seeds')
        if not plan.seeds:
            self.fail("'seeds' is empty; give at least one")
        for seed in plan.seeds:
            if type(seed) is not int or not 0 <= seed < 2**32:
                self.fail(f"seed '{seed}' is not a whole number from 0 to 2**32 - 1")
        if repeated := _repeated(plan.seeds):
            self.fail(f'seed {repeated[0]} is listed twice; each seed counts once')
        if repeated := _repeated([row.name for row in plan.rows]):
            self.fail(f"two rows have the name '{repeated[0]}'; set 'name' of one of them")
        self.is_mapping(plan.overrides, 'overrides')
        for weights in (plan.weights, *(row.weights for row in plan.rows)):
            if weights is not None and not isinstance(weights, str):
                self.fail(f"weights '{weights}' is not a path, a URL or '{SCRATCH}'")
        self._check_data(plan)
        self._check_training(plan.training)
        self._check_launcher(plan.launcher)
        self.is_whole(plan.report.pictures, 'report.pictures', 0)
        if not isinstance(plan.report.score_thr, (int, float)):
            self.fail(f"'report.score_thr' is '{plan.report.score_thr}'; give a number from 0 to 1")

    def _check_data(self, plan: Plan) -> None:
        data = plan.data
        for f in fields(Data):
            value = getattr(data, f.name)
            if value is not None and f.name != 'classes' and not isinstance(value, str):
                self.fail(f"'data.{f.name}' is '{value}'; give a path")
        if data.classes is not None:
            self.is_texts(data.classes, 'data.classes')
        if bool(data.train_ann) != bool(data.val_ann):
            self.fail('give both data.train_ann and data.val_ann, or none (--train-ann, --val-ann)')
        if plan.needs_data and not (data.root and data.train_ann):
            self.fail(
                'it runs on a data set of yours: give --data-root, --train-ann and --val-ann '
                '(COCO annotations, relative to the root)'
            )

    def _check_training(self, training: Training) -> None:
        for key, least in (('epochs', 1), ('batch_size', 1), ('workers', 0), ('val_interval', 1)):
            if getattr(training, key) is not None:
                self.is_whole(getattr(training, key), f'training.{key}', least)
        scale = training.image_scale
        if scale is not None:
            self.is_list(scale, 'training.image_scale')
            if len(scale) != 2:
                self.fail("'training.image_scale' needs two numbers, width and height")
            for side in scale:
                self.is_whole(side, 'training.image_scale', 1)

    def _check_launcher(self, launcher: Launcher) -> None:
        if launcher.type not in LAUNCHERS:
            self.fail(f"launcher '{launcher.type}' is not known; take {', '.join(LAUNCHERS)}")
        for key in ('gpus', 'gpus_per_node', 'cpus_per_task'):
            self.is_whole(getattr(launcher, key), f'launcher.{key}', 1)
        self.is_texts(launcher.sbatch_args, 'launcher.sbatch_args')
        for key in ('gres', 'partition', 'job_name'):
            if not isinstance(getattr(launcher, key), (str, type(None))):
                self.fail(f"'launcher.{key}' is '{getattr(launcher, key)}'; give a text")
        if launcher.type == 'none':
            launcher.gpus = 1
        self.is_one_line(launcher)
        nodes = math.ceil(launcher.gpus / launcher.gpus_per_node)
        if launcher.type == 'slurm' and nodes > 1 and launcher.gpus % launcher.gpus_per_node:
            self.fail(
                f"'launcher.gpus' is {launcher.gpus}, which is no multiple of gpus_per_node "
                f'({launcher.gpus_per_node}); machines get equal shares'
            )

    def is_one_line(self, launcher: Launcher) -> None:
        """Check what goes into the batch script, where a line end would begin a command."""
        for text in (launcher.job_name, launcher.gres, launcher.partition, *launcher.sbatch_args):
            if text and not text.isprintable():
                self.fail(
                    f'the launcher has {text!r}, which has control characters; leave them out'
                )

    def known_keys(self, content: Dict, known: Sequence[str], where: str) -> None:
        for key in content:
            if key not in known:
                self.fail(
                    f"it has an unknown key '{f'{where}.{key}'.lstrip('.')}'; "
                    f'{suggestion(key, known)}'
                )

    def is_mapping(self, value: Any, where: str) -> None:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            self.fail(f"{self.named(where)} is not a list of 'key: value'")

    def is_list(self, value: Any, where: str) -> None:
        if not isinstance(value, list):
            self.fail(f'{self.named(where)} is not a list')

    def is_texts(self, value: Any, where: str) -> None:
        self.is_list(value, where)
        if not all(isinstance(item, str) for item in value):
            self.fail(f'{self.named(where)} is not a list of texts; quote numbers')

    def is_whole(self, value: Any, where: str, least: int) -> None:
        if type(value) is not int or value < least:
            self.fail(f"'{where}' is '{value}'; give a whole number from {least}")

    def named(self, where: str) -> str:
        return f"'{where.lstrip('.')}'" if where else 'it'

    def fail(self, reason: str) -> None:
        raise ConfigError(f"plan '{self.path}': {reason}")


def _repeated(values: Sequence) -> List:
    return [value for i, value in enumerate(values) if value in values[:i]]
