"""The script of ``epsanet browse``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('browse')
