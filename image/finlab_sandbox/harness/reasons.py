"""How a run of the harness can end: one word each."""

COMPLETED = "Completed"
STRATEGY_ERROR = "StrategyError"
TIMEOUT = "Timeout"
OUT_OF_MEMORY = "OutOfMemory"
DISK_LIMIT = "DiskLimit"
PROCESS_LIMIT = "ProcessLimit"
SYSCALL_VIOLATION = "SyscallViolation"
CRASHED = "Crashed"
RESULT_MISSING = "ResultMissing"
RESULT_INVALID = "ResultInvalid"
RESULT_TOO_LARGE = "ResultTooLarge"
DATA_MISSING = "DataMissing"
VENDOR_AUTH_REQUIRED = "VendorAuthRequired"
IMAGE_INVALID = "ImageInvalid"
TAMPERED = "Tampered"

# What the child may say of itself. Everything else is seen from outside.
REPORTED = frozenset(
    {
        STRATEGY_ERROR,
        OUT_OF_MEMORY,
        DISK_LIMIT,
        PROCESS_LIMIT,
        RESULT_MISSING,
        RESULT_INVALID,
        RESULT_TOO_LARGE,
        DATA_MISSING,
        VENDOR_AUTH_REQUIRED,
    }
)

# What it may say as long as it is still our own code.
REPORTED_BEFORE_START = REPORTED | {TAMPERED}


class RunError(Exception):
    """An end that the harness names itself."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
