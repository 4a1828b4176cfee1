"""`python -m novakit` is `novakit`."""

import sys

from novakit.cli import main

sys.exit(main())
