"""The script of ``epsanet report``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('report')
