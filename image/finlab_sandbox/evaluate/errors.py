"""The one way to say no to a run."""


class ResultError(Exception):
    """The run cannot be scored. `reason` is ResultMissing, ResultInvalid, ResultTooLarge or DataMissing."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
