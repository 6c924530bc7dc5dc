"""`python3 -P -s -m finlab_sandbox.harness`: exit code 0 for a completed strategy, 2 where none was run, 143 if told
to stop, else 1.
"""

import os

from finlab_sandbox.harness.paths import Paths
from finlab_sandbox.harness.supervisor import supervise

if __name__ == "__main__":
    os._exit(supervise(Paths()))
