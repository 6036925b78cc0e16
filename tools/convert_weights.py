"""The script of ``epsanet convert-weights``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('convert-weights')
