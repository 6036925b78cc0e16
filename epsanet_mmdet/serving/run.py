"""Serving a detector from the command line."""

from pathlib import Path
from typing import Dict, Optional

from ..errors import ConfigError
from ..inference.detector import Detector, check_threshold
from .page import build_page, load_gradio
from .results import LOWEST

FONTS = dict(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])
UPLOAD = '100mb'  # of one file


def serve(
    config: str,
    checkpoint: str,
    host: str = '127.0.0.1',
    port: int = 7860,
    score_thr: float = 0.3,
    device: Optional[str] = None,
    options: Optional[Dict] = None,
) -> None:
    """Serve a web page to try a detector, until Ctrl-C.

    Args:
        config: Path or bare name of a config.
        checkpoint: File or URL of the weights.
        host: Address to listen on. The default is reachable from this machine alone.
        port: Port to listen on.
        score_thr: Initial threshold of scores.
        device: Device such as ``'cpu'`` or ``'cuda:1'``. Default: a GPU if there is one.
        options: Overrides of the config, see ``--cfg-options``.

    Raises:
        ExtraError: If Gradio is not installed.
        UserError: If the config, the checkpoint or an option is wrong.
    """
    check_threshold(score_thr, LOWEST)
    if not 0 < port < 65536:
        raise ConfigError(f'the port is {port}; it must be from 1 to 65535')
    gr = load_gradio()
    page = build_page(
        Detector(config, checkpoint, device, options),
        f'{Path(config).stem}, {Path(checkpoint).name}',
        score_thr,
    )
    page.queue(default_concurrency_limit=1)  # one model
    try:
        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=UPLOAD,
            ssr_mode=False,
            theme=gr.themes.Default(**FONTS),  # of the system: others would be downloaded
        )
    except OSError:
        raise ConfigError(f'port {port} of {host} cannot be used; choose another --port or --host')
    print(f'Open http://{host}:{port} in a browser; Ctrl-C ends it', flush=True)
    try:
        page.block_thread()
    finally:
        page.close()
