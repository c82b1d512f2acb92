"""`python -m eadnet_core ...` is `eadnet ...`."""

import sys

from .cli import main

sys.exit(main())
