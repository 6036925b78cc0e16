"""The script of ``epsanet train``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('train')
