"""The one way to say no to a result."""


class ResultError(Exception):
    """The strategy's result cannot be scored. `reason` is ResultMissing, ResultInvalid or ResultTooLarge."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
