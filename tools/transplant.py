"""The script of ``epsanet transplant``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('transplant')
