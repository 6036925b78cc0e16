"""The script of ``epsanet infer``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('infer')
