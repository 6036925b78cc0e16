"""The annotation tools that labels can be written for."""

from pathlib import Path
from typing import Callable, Dict, List, Sequence

from ...errors import ConfigError, DataError
from ...utils.text import printable, suggestion
from ..detections import Detections
from ..sources import Frame, Source
from .cvat import CvatLabels
from .label_studio import LabelStudioLabels
from .shapes import shapes_of
from .ultralytics import UltralyticsLabels, check_new

LABEL_FORMATS: Dict[str, Callable] = {
    'cvat': CvatLabels,
    'label-studio': LabelStudioLabels,
    'ultralytics': UltralyticsLabels,
}
IMAGE_URL = '/data/local-files/?d='  # local storage of Label Studio


class LabelFiles:
    """Labels for any number of annotation tools, complete after each image.

    Args:
        folder: Folder to write to.
        formats: Keys of ``LABEL_FORMATS``.
        classes: Class names.
        image_url: See :class:`.label_studio.LabelStudioLabels`.
    """

    def __init__(
        self, folder: Path, formats: Sequence[str], classes: Sequence[str], image_url: str
    ) -> None:
        options = {'label-studio': dict(image_url=image_url)}
        self.writers = [
            LABEL_FORMATS[name](folder, classes, **options.get(name, {}))
            for name in dict.fromkeys(formats)
        ]

    def add(self, frame: Frame, detections: Detections) -> None:
        shapes = shapes_of(detections) if self.writers else []
        for writer in self.writers:
            writer.add(frame.source, detections.size, shapes)

    def close(self) -> None:
        for writer in self.writers:
            writer.close()


def label_paths(folder: Path, formats: Sequence[str]) -> List[Path]:
    """Return the files and folders that labels in these formats are written to."""
    return [folder / name for key in formats for name in LABEL_FORMATS[key].FILES]


def check_label_options(formats: Sequence[str], folder: str, sources: Sequence[Source]) -> None:
    """Raise a UserError if labels cannot be written, before the work that leads to them.

    Args:
        formats: Keys of ``LABEL_FORMATS``.
        folder: Folder to write to.
        sources: Image files; the frames of videos have none.
    """
    for name in formats:
        if name not in LABEL_FORMATS:
            raise ConfigError(
                f"there is no label format '{name}'; {suggestion(name, LABEL_FORMATS)}"
            )
    video = next((source for source in sources if formats and source.is_video), None)
    if video is not None:
        raise DataError(
            f"labels are for image files, but '{printable(video.path, 300)}' is a video or webcam; "
            'save its frames as images first, or leave out --labels'
        )
    if 'ultralytics' in formats:
        check_new(Path(folder))
