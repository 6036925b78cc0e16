"""Deploy networks for inference: fused and exported."""

from ..layers.deployed_psa import DeployedPSA
from ..models.deployed import deploy
from .checked_files import greatest_difference
from .command import run_deploy
from .deployed_checkpoint import load_deployed, save_deployed
from .export import RawOutputs, export_onnx, export_program
from .metadata import describe_detector
from .targets import prepare_for
from .whole import WholeDetector
from .whole_onnx import export_detector

__all__ = [
    'DeployedPSA',
    'RawOutputs',
    'WholeDetector',
    'deploy',
    'describe_detector',
    'export_detector',
    'export_onnx',
    'export_program',
    'greatest_difference',
    'load_deployed',
    'prepare_for',
    'run_deploy',
    'save_deployed',
]
