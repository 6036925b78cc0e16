"""The script of ``epsanet demo``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('demo')
