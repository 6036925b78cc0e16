"""Where whole models that were pickled look for the modules of a deployed PSA."""

from ..layers.deployed_psa import DeployedPSA, PlainBranches

__all__ = ['DeployedPSA', 'PlainBranches']
