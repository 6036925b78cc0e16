"""The script of ``epsanet check``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('check')
