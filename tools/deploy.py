"""The script of ``epsanet deploy``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('deploy')
