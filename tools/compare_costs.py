"""The script of ``epsanet costs``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('costs')
