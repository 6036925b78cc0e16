"""``python -m epsanet_cli``, for launchers that start modules."""

from .main import main

if __name__ == '__main__':
    main()
