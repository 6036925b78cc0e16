"""The script of ``epsanet new-config``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('new-config')
