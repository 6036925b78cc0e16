"""The script of ``epsanet draw-image-folder``."""

from epsanet_cli.main import run

if __name__ == '__main__':
    run('draw-image-folder')
