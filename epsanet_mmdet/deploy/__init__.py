"""Deploy networks for inference: fused and exported."""

from ..layers.deployed_psa import DeployedPSA
from ..models.deployed import deploy
from .command import greatest_difference, load_deployed, run_deploy, save_deployed
from .export import RawOutputs, export_onnx, export_program

__all__ = [
    'DeployedPSA',
    'RawOutputs',
    'deploy',
    'export_onnx',
    'export_program',
    'greatest_difference',
    'load_deployed',
    'run_deploy',
    'save_deployed',
]
