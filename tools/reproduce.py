"""The script of ``epsanet reproduce``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('reproduce')
