"""A module that ends the process when it is imported, as a script without a guard does."""

import os
import sys

os.chdir("/")
sys.exit(5)
