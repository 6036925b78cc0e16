"""The script of ``epsanet test``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('test')
