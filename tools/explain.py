"""The script of ``epsanet explain``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('explain')
