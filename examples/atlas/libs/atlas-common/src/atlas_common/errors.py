"""The one error that services raise and understand."""


class ServiceError(Exception):
    """A request that cannot be served: HTTP status, a code for programs, a message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
