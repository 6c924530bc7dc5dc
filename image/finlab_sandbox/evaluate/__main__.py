"""`python3 -P -s -m finlab_sandbox.evaluate`: exit code 0 whenever a verdict was reached."""

import gc
import os

from finlab_sandbox.evaluate.step import Paths, evaluate

if __name__ == "__main__":
    gc.disable()  # it lives for a moment, and makes no garbage to speak of
    evaluate(Paths(), nonce=os.environ["FINLAB_NONCE"])
    os._exit(0)  # nothing is left to flush; tearing numpy down costs milliseconds
