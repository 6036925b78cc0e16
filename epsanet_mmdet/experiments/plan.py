"""Plans: which configs to train and compare, as a small YAML file (docs/reproduce.md)."""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from ..config.load import find_config
from ..errors import ConfigError
from ..utils.text import suggestion
from .published import published_results

SCRATCH = 'scratch'
LAUNCHERS = ('none', 'pytorch', 'slurm')

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Seed = Annotated[int, Meta(ge=0, lt=2**32)]
Share = Annotated[float, Meta(ge=0, le=1)]
Label = Union[str, int, float, None]  # YAML reads an unquoted 50 as a number


class Part(Struct, forbid_unknown_fields=True):
    """A mapping of a plan file; msgspec checks its keys and the types of its values."""


class Data(Part):
    """A data set: COCO annotations by name, or paths in any format of docs/own_data.md.

    None keeps the values of the configs.

    Args:
        root: Folder that annotations and image folders are relative to.
        train_ann: Training annotations.
        val_ann: Validation annotations.
        test_ann: Test annotations. Default: the validation annotations.
        train_images: Folder of the training images. Default: searched for.
        val_images: Folder of the validation images. Default: searched for.
        test_images: Folder of the test images. Default: searched for.
        classes: Class names in the order of the files. Default: those of the training annotations.
        paths: Folders of a data set, COCO JSON files, or a YOLO ``data.yaml``.
        images: Folder of the images of COCO annotations in ``paths``. Default: searched for.
    """

    root: Optional[str] = None
    train_ann: Optional[str] = None
    val_ann: Optional[str] = None
    test_ann: Optional[str] = None
    train_images: Optional[str] = None
    val_images: Optional[str] = None
    test_images: Optional[str] = None
    classes: Optional[List[str]] = None
    paths: Union[str, Annotated[List[str], Meta(min_length=1)], None] = None
    images: Optional[str] = None

    def __post_init__(self) -> None:
        if bool(self.train_ann) != bool(self.val_ann):
            raise ValueError('set both train_ann and val_ann, or neither (--train-ann, --val-ann)')
        if self.test_ann and not self.val_ann:
            raise ValueError('test_ann (--test-ann) needs train_ann and val_ann')
        if isinstance(self.paths, str):
            self.paths = [self.paths]
        used = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        if self.paths and not {'paths', 'images'}.issuperset(used):
            raise ValueError(
                f'paths (--data) and {used[0]} exclude each other: annotations and classes are '
                'searched for in the paths; remove one of them'
            )
        if self.images and not self.paths:
            raise ValueError(
                'images (--images) belongs to paths (--data); beside root, set train_images and '
                'val_images'
            )


class Training(Part):
    """The training settings that are changed most often. None keeps the values of the configs.

    Args:
        epochs: Number of epochs; the schedule is stretched or shortened to it.
        batch_size: Images per process.
        image_scale: Width and height that images are resized to fit into.
        workers: Processes that load images.
        val_interval: Epochs between validations.
        auto_scale_lr: Scale the learning rate to the number of images per step.
    """

    epochs: Optional[Positive] = None
    batch_size: Optional[Positive] = None
    image_scale: Optional[Tuple[Positive, Positive]] = None
    workers: Optional[Count] = None
    val_interval: Optional[Positive] = None
    auto_scale_lr: bool = False


class Launcher(Part):
    """How the processes of a job are started.

    Args:
        type: ``'none'`` for one process, ``'pytorch'`` for several on this machine, ``'slurm'``
            to submit every job with sbatch.
        gpus: Processes of a job, one per GPU.
        jobs: Jobs that run at a time (not with Slurm, which decides).
        gpus_per_node: Most processes on one node (Slurm).
        gres: Slurm's name of a GPU; empty to train without.
        cpus_per_task: Cores per process (Slurm).
        partition: Slurm partition. Default: the cluster's.
        job_name: Prefix of the Slurm job names.
        sbatch_args: Additional arguments for sbatch, such as ``--time=2-0``.
    """

    type: str = 'none'
    gpus: Positive = 1
    jobs: Positive = 1
    gpus_per_node: Positive = 8
    gres: Optional[str] = 'gpu'
    cpus_per_task: Positive = 5
    partition: Optional[str] = None
    job_name: Optional[str] = 'reproduce'
    sbatch_args: List[str] = []

    def __post_init__(self) -> None:
        if self.type not in LAUNCHERS:
            raise ValueError(f"type is '{self.type}'; choose from {', '.join(LAUNCHERS)}")
        if self.type == 'none':
            self.gpus = 1
        if self.type == 'slurm' and self.jobs > 1:
            raise ValueError(f'jobs is {self.jobs}, but Slurm decides that; leave it out')
        for text in (self.job_name, self.gres, self.partition, *self.sbatch_args):
            if text and not text.isprintable():  # a line end would begin a command of the script
                raise ValueError(f'{text!r} has control characters; leave them out')
        nodes = math.ceil(self.gpus / self.gpus_per_node)
        if self.type == 'slurm' and nodes > 1 and self.gpus % self.gpus_per_node:
            raise ValueError(
                f'gpus is {self.gpus}, which is not a multiple of gpus_per_node '
                f'({self.gpus_per_node}); nodes get equal shares'
            )


class Report(Part):
    """What the page shows.

    Args:
        pictures: Images per comparison.
        score_thr: Detections with lower scores are left out of counts and pictures.
    """

    pictures: Count = 8
    score_thr: Share = 0.3


class Variant(Part):
    """A config to compare, trained once per seed.

    Args:
        config: Path or bare name; if the plan has a detector, a bare name without it.
        name: Unique in the plan; names the folder. Default: the bare name in ``config``.
        label: Name in tables and plots. Default: ``name``.
        published: Key of its published results, such as ``mask-rcnn/senet50``.
        weights: Weights of the backbone, or ``scratch``. Default: the plan's.
        overrides: Config values by dotted key, like ``--cfg-options``.

    Raises:
        ValueError: If there is no such published result, or the name is no folder's.
    """

    config: str
    name: Label = None
    label: Label = None
    published: Optional[str] = None
    weights: Optional[str] = None
    overrides: Dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.published is not None:
            _must_exist(published_results, self.published)
        self.name = str(self.name or Path(self.config).stem)
        self.label = str(self.label or self.name)
        if not re.fullmatch(r'[\w+-][\w.+-]*', self.name):
            raise ValueError(f"name is '{self.name}'; use letters, digits, '-', '_' and '.'")


class Comparison(Part):
    """Variants that are trained with equal settings.

    Args:
        variants: The variants, or only their configs; ``rows`` in the file.
        name: Heading.
        baseline: Name of the variant that the others are compared with. Default: the first.
        allow: Config keys in which variants may differ, besides those of the backbone.
    """

    variants: Annotated[List[Union[Variant, str]], Meta(min_length=1)] = field(name='rows')
    name: Label = None
    baseline: Optional[str] = None
    allow: List[str] = []

    def __post_init__(self) -> None:
        self.name = str(self.name or '')
        self.variants = [Variant(v) if isinstance(v, str) else v for v in self.variants]
        names = [variant.name for variant in self.variants]
        self.baseline = self.baseline or names[0]
        if self.baseline not in names:
            raise ValueError(
                f"baseline '{self.baseline}' is not the name of a variant; choose from "
                f'{", ".join(names)}'
            )


class Plan(Part):
    """A plan.

    Args:
        comparisons: Groups of variants.
        title: Heading of the table and the page. Default: ``name``.
        detector: Detector of all variants, such as ``mask-rcnn``: the part of the bare names of
            their configs before the first ``_``.
        seeds: Every variant is trained once with each of them.
        data: The data set.
        training: Training settings of all variants.
        overrides: Config values of all variants by dotted key, like ``--cfg-options``.
        weights: Weights of the backbones of variants without their own.
        launcher: How the processes of a job are started.
        report: What the page shows.
        needs_data: Refuse to run without a data set; for plans whose configs name none.
        name: Bare name of the file, which does not contain it.

    Raises:
        ValueError: If a config does not exist, a seed or name occurs twice, or data are missing.
    """

    comparisons: Annotated[List[Comparison], Meta(min_length=1)]
    title: Label = None
    detector: Optional[str] = None
    seeds: Annotated[List[Seed], Meta(min_length=1)] = field(default_factory=lambda: [0])
    data: Data = field(default_factory=Data)
    training: Training = field(default_factory=Training)
    overrides: Dict[str, Any] = {}
    weights: Optional[str] = None
    launcher: Launcher = field(default_factory=Launcher)
    report: Report = field(default_factory=Report)
    needs_data: bool = False
    name: str = ''

    def __post_init__(self) -> None:
        for variant in self.variants:
            _must_exist(find_config, self.config_of(variant))
        if repeated := _repeated(self.seeds):
            raise ValueError(f'seed {repeated[0]} is listed twice; each seed counts once')
        if repeated := _repeated([variant.name for variant in self.variants]):
            raise ValueError(f"two variants have the name '{repeated[0]}'; rename one of them")
        for comparison in self.comparisons:
            if repeated := _repeated([variant.label for variant in comparison.variants]):
                raise ValueError(f"two variants have the label '{repeated[0]}'; rename one of them")
        if self.needs_data and not (self.data.paths or self.data.root and self.data.train_ann):
            raise ValueError(
                'it needs your own data set: set --data to its folder (COCO, Pascal VOC, YOLO), or '
                '--data-root, --train-ann and --val-ann'
            )

    @property
    def variants(self) -> List[Variant]:
        return [variant for comparison in self.comparisons for variant in comparison.variants]

    def keep(self, names: Sequence[str]) -> None:
        """Keep only the named variants.

        A comparison without its baseline compares with the first of its variants that is kept.

        Raises:
            ConfigError: If there is no variant of a name; it suggests the closest names.
        """
        known = [variant.name for variant in self.variants]
        for name in names:
            if name not in known:
                raise ConfigError(f"{self.name} has no variant '{name}'; {suggestion(name, known)}")
        comparisons = []
        for comparison in self.comparisons:
            kept = [variant for variant in comparison.variants if variant.name in names]
            baseline = comparison.baseline if comparison.baseline in names else None
            if kept:
                comparisons.append(replace(comparison, variants=kept, baseline=baseline))
        self.comparisons = comparisons

    def config_of(self, variant: Variant) -> str:
        """Return the path or bare name of the config of a variant."""
        return f'{self.detector}_{variant.config}' if self.detector else variant.config


def _must_exist(find: Callable[[str], Any], name: str) -> None:
    try:
        find(name)
    except ConfigError as error:
        raise ValueError(str(error))


def _repeated(values: List) -> List:
    return [value for i, value in enumerate(values) if value in values[:i]]
