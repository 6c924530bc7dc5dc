"""`python3 -P -s -m finlab_sandbox.load`: exit code 0 for a dataset laid out for reading, 1 for one that cannot
be, 143 if told to stop.
"""

import os

from finlab_sandbox.load.step import Paths, load

if __name__ == "__main__":
    os._exit(load(Paths(), os.environ.get("FINLAB_DATASET_PATH", "")))
