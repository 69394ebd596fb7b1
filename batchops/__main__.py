"""Runs the command line for `python -m batchops`."""

from batchops.cli.app import main

if __name__ == "__main__":
    main()
