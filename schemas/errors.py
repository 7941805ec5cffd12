"""Every error that this program raises for a reason it understands.

    ConnectorError
     ├─ SettingsError            a setting is missing or wrong
     ├─ UsageError               a command was called wrongly
     ├─ LogError                 Kafka
     │   ├─ LogUnavailableError    cannot be reached, or does not take a record in time
     │   │   └─ LogDeniedError         refuses the credentials, or a right is missing
     │   └─ TopicsError            topics are missing or differ from what is declared
     ├─ UnreadableError          bytes that are not what they should be; they go to the dead letters
     └─ FarSideError             Zuora or IFS Cloud
         ├─ UnauthorizedError      credentials refused, also after a fresh token
         ├─ ForbiddenError         credentials good, permission missing
         ├─ NotFoundError          the thing asked for is not there
         ├─ TroubleError           worth another try later: 429, 5xx, time-outs, connections lost
         │   └─ UncertainError       sent, but the answer was lost: it may have been done
         ├─ PreconditionError      the tag is stale: read again and decide again
         └─ RefusedError           said no for a reason of business or form; a person must act

`retriable` says whether the same request may be tried again, `retry_after` the least wait in seconds that the far side
asked for.
"""

from typing import ClassVar


class ConnectorError(Exception):
    """Base of all errors that this program raises for a reason it understands."""

    retriable: ClassVar[bool] = False


class SettingsError(ConnectorError):
    """A setting is missing or wrong."""


class UsageError(ConnectorError):
    """A command was called wrongly."""


class LogError(ConnectorError):
    """Something about Kafka."""


class LogUnavailableError(LogError):
    """Kafka cannot be reached, or does not take a record in time."""

    retriable = True


class LogDeniedError(LogUnavailableError):
    """Kafka refuses the credentials, or a right is missing; a person must act, but nobody need start again after."""


class TopicsError(LogError):
    """Topics are missing or differ from what is declared."""


class UnreadableError(ConnectorError):
    """Bytes that are not what they should be."""


class FarSideError(ConnectorError):
    """Zuora or IFS Cloud did not do what was asked."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class UnauthorizedError(FarSideError):
    """Credentials were refused, also after a fresh token."""

    retriable = True


class ForbiddenError(FarSideError):
    """Credentials are good, permission is missing."""


class NotFoundError(FarSideError):
    """The thing asked for is not there."""


class TroubleError(FarSideError):
    """Worth another try later: 429, 5xx, time-outs, connections lost."""

    retriable = True


class UncertainError(TroubleError):
    """A write was sent, but its answer was lost: it may have been done."""

    retriable = False


class PreconditionError(FarSideError):
    """The tag is stale: read again and decide again."""


class RefusedError(FarSideError):
    """The far side said no for a reason of business or form; a person must act."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message, status=status)
        self.code = code
