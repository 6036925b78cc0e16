"""The script of ``epsanet pretrain``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('pretrain')
