"""What `import frcnn` offers: the engine's work, called with paths, names and keyword arguments."""

import os

from frcnn_cli import __version__

__all__ = ["__version__"]

# Threads that wait for one another sleep, as in the commands: spinning threads made steps of
# training 7 times slower on a busy machine. OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
