"""`python -m eadnet_core ...` is `eadnet ...`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
