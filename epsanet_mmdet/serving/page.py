"""The page: pictures are dropped, the threshold moves, and results are downloaded."""

import os
from html import escape
from types import ModuleType
from typing import Any, List, Optional

from ..errors import ExtraError, UserError
from ..inference.detector import Detector
from .results import LOWEST, Results

TITLE = 'Try a detector'
HEADERS = ['picture', 'objects', 'classes']
SECONDS = 3600  # after which uploaded files and results are deleted


def load_gradio() -> ModuleType:
    """Return Gradio, which then sends nothing to its authors.

    Raises:
        ExtraError: If it is not installed.
    """
    os.environ.setdefault('GRADIO_ANALYTICS_ENABLED', 'False')
    os.environ.setdefault('HF_HUB_DISABLE_TELEMETRY', '1')
    try:
        import gradio
    except ImportError:
        raise ExtraError("gradio is not installed; run: pip install 'epsanet_mmdet[serve]'")
    return gradio


def build_page(detector: Detector, name: str, score_thr: float) -> Any:
    """Return the page as Gradio's ``Blocks``.

    Args:
        detector: The detector.
        name: Its name, shown on the page.
        score_thr: Initial threshold of scores.

    Raises:
        ExtraError: If Gradio is not installed.
    """
    gr = load_gradio()

    def show(results: Optional[Results], score_thr: float) -> List[Any]:
        if results is None:
            return [[], [], gr.DownloadButton(value=None, interactive=False)]
        button = gr.DownloadButton(value=results.save(score_thr), interactive=True)
        return [results.pictures(score_thr), results.rows(score_thr), button]

    # Gradio finds the progress by this default.
    def detect(files: Optional[List[str]], score_thr: float, progress=gr.Progress()) -> List[Any]:  # noqa: B008
        if not files:
            return [None, *show(None, score_thr)]
        try:
            results = Results(detector, files, lambda *done: progress(done, unit='pictures'))
        except UserError as error:
            raise gr.Error(str(error))
        return [results, *show(results, score_thr)]

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SECONDS, SECONDS)) as page:
        gr.HTML(f'<h1>{TITLE}</h1><p>{escape(name)}</p>')
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                files = gr.File(label='pictures', file_count='multiple', file_types=['image'])
                slider = gr.Slider(LOWEST, 1, score_thr, step=0.01, label='lowest score')
                button = gr.DownloadButton('Download results', interactive=False)
            with gr.Column(scale=3, min_width=320):
                gallery = gr.Gallery(label='detections', object_fit='contain', format='jpeg')
                table = gr.Dataframe(
                    headers=HEADERS,
                    datatype='str',
                    interactive=False,
                    wrap=True,
                    column_widths=['40%', '25%', '35%'],
                )
        results, shown = gr.State(), [gallery, table, button]
        files.change(detect, [files, slider], [results, *shown])
        slider.change(show, [results, slider], shown, trigger_mode='always_last')
    return page
