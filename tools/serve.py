"""The script of ``epsanet serve``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('serve')
