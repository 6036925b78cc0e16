"""Plans: which trainings to run and compare, as a small YAML file."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

SCRATCH = 'scratch'
LAUNCHERS = ('none', 'pytorch', 'slurm')


@dataclass
class Data:
    """A COCO-format data set; what is None stays as the configs have it.

    Args:
        root: Folder that the other paths are relative to.
        train_ann: Annotations to train on.
        val_ann: Annotations to test on.
        train_images: Folder of the images to train on; looked for if not given.
        val_images: Folder of the images to test on; looked for if not given.
        classes: Names, in the files' order; the training annotations' if not given.
    """

    root: Optional[str] = None
    train_ann: Optional[str] = None
    val_ann: Optional[str] = None
    train_images: Optional[str] = None
    val_images: Optional[str] = None
    classes: Optional[List[str]] = None


@dataclass
class Training:
    """The common settings that are changed most; what is None stays as the configs have it.

    Args:
        epochs: The schedule is stretched or shortened to that.
        batch_size: Images per process.
        image_scale: Width and height that images are resized into.
        workers: Processes that load images; 0 for none.
        val_interval: Epochs between validations.
        auto_scale_lr: Scale the learning rate to the images of a step.
    """

    epochs: Optional[int] = None
    batch_size: Optional[int] = None
    image_scale: Optional[List[int]] = None
    workers: Optional[int] = None
    val_interval: Optional[int] = None
    auto_scale_lr: bool = False


@dataclass
class Launcher:
    """How a job's processes are started.

    Args:
        type: ``'none'`` for one process, ``'pytorch'`` for several on this machine, ``'slurm'``
            to submit each job with sbatch.
        gpus: Processes of a job in all, one per GPU.
        gpus_per_node: Most of them on one machine; Slurm only.
        gres: What Slurm calls a GPU; empty to train without.
        cpus_per_task: Cores for each; Slurm only.
        partition: Slurm's, if not its default.
        job_name: Prefix of the jobs' names at Slurm.
        sbatch_args: More arguments of sbatch, such as ``--time=2-0``.
    """

    type: str = 'none'
    gpus: int = 1
    gpus_per_node: int = 8
    gres: str = 'gpu'
    cpus_per_task: int = 5
    partition: Optional[str] = None
    job_name: str = 'reproduce'
    sbatch_args: List[str] = field(default_factory=list)


@dataclass
class Report:
    """What the page shows.

    Args:
        pictures: Number of images for each comparison.
        score_thr: Lower scores count as not detected in counts and pictures.
    """

    pictures: int = 8
    score_thr: float = 0.3


@dataclass
class Row:
    """A row of the table: one config, trained once for each seed.

    Args:
        config: Path or bare name.
        name: Unique in the plan; names the folder. The config's bare name if not given.
        label: What the table shows.
        published: Its published figures, such as ``mask-rcnn/senet50``.
        weights: The backbone's, or ``scratch``; as the config has it if not given.
        overrides: Of the config, as of ``--cfg-options``.
    """

    config: str
    name: str = ''
    label: str = ''
    published: Optional[str] = None
    weights: Optional[str] = None
    overrides: Dict[str, Any] = field(default_factory=dict)


@dataclass
class Comparison:
    """Rows with equal settings.

    Args:
        rows: What is compared.
        name: Heading.
        baseline: Name of the row that the others are relative to; the first if not given.
        allow: Keys of the configs in which rows may differ, beside the backbone's.
    """

    rows: List[Row]
    name: str = ''
    baseline: str = ''
    allow: List[str] = field(default_factory=list)


@dataclass
class Plan:
    """A plan; see ``docs/reproduce.md``.

    Args:
        name: Bare name of the file.
        title: Heading of table and page.
        comparisons: Groups of rows.
        seeds: One training of each row for each.
        data: The data set.
        training: Common settings that are changed most.
        overrides: Of every config, as of ``--cfg-options``.
        weights: Of rows that have none of their own.
        launcher: How processes are started.
        report: What the page shows.
        needs_data: Whether the data set must be given, since the configs name none of use.
    """

    name: str
    title: str
    comparisons: List[Comparison]
    seeds: List[int] = field(default_factory=lambda: [0])
    data: Data = field(default_factory=Data)
    training: Training = field(default_factory=Training)
    overrides: Dict[str, Any] = field(default_factory=dict)
    weights: Optional[str] = None
    launcher: Launcher = field(default_factory=Launcher)
    report: Report = field(default_factory=Report)
    needs_data: bool = False

    @property
    def rows(self) -> List[Row]:
        return [row for comparison in self.comparisons for row in comparison.rows]
