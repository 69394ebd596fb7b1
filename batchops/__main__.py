"""`python -m batchops`."""

from batchops.cli import main

if __name__ == "__main__":
    main()
