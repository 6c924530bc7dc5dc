"""Every way in which a run on this machine ends, for whatever engine: a source, the exit code, the reason, the spec."""

from typing import Any

QUICK = {"lookAhead": {"action": "Off"}}
HALF = "def strategy(data, params):\n    return data.close * 0 + 0.1\n"
PRICES = "date,symbol,close\n" + "".join(
    f"2020-01-{day:02},{symbol},{10 + day % 5 + number}\n" for day in range(1, 29) for number, symbol in enumerate("AB")
)
ENDS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "raise ValueError(1)": (10, "StrategyError", {}),
    "input()": (10, "CodeRejected", {}),
    "import time\nwhile True: time.sleep(1)": (10, "Timeout", {"timeoutSeconds": 3}),
    "import numpy\nkept = [numpy.ones(1 << 25) for _ in range(64)]": (10, "OutOfMemory", {}),
    "import os\nos.kill(os.getpid(), 11)": (10, "Crashed", {}),
    "import ctypes\nctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None)": (10, "SyscallViolation", {}),
    "open('/out/large', 'wb').write(bytes(1 << 27))": (10, "DiskLimit", {}),
    "positions = (data.close.shift(-1) > data.close) * 0.1": (
        10,
        "LookAheadDetected",
        {"evaluation": {"lookAhead": {"action": "Fail"}}},
    ),
    "print('RESULT {\"a\": 1}')": (0, "SelfReported", {}),
    "print('done')": (0, "ScriptCompleted", {}),
}
