import sys

from .toolkit import main

sys.exit(main())
