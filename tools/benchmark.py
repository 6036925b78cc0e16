"""The script of ``epsanet benchmark``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('benchmark')
