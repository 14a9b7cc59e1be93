"""The exceptions: one class for each kind of failure, all of them MapStoreError."""

from __future__ import annotations

from typing import Optional


class MapStoreError(Exception):
    """A call failed.

    ``str()`` of it says what happened and what to do; it holds no stored value
    and no credential.
    """

    #: The number of the kind, the same in every language; 0 for a missing key.
    code: int = 0
    #: The name of the kind, as in the documentation.
    kind: str = ""
    #: What it is about: a key, a map, a file, a variable.
    subject: str = ""
    #: The status of the API server's refusal, if it was one.
    http_status: Optional[int] = None
    #: The same call may succeed later without anybody changing anything.
    retryable: bool = False
    #: Of a TooLargeError, in bytes, where known.
    used: Optional[int] = None
    limit: Optional[int] = None

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.kind


class KeyNotFoundError(MapStoreError, KeyError):
    """There is no such key."""

    kind = "KeyNotFound"


class InvalidArgumentError(MapStoreError, ValueError):
    """An argument can't be used; nothing was sent."""


class TooLargeError(MapStoreError):
    """The value, the map or the request is over a limit of Kubernetes."""


class ConflictError(MapStoreError):
    """A condition didn't hold, or other writers kept winning until the deadline."""


class OutcomeUnknownError(MapStoreError):
    """The write was sent and its outcome can't be told: read before writing again."""


class ForbiddenError(MapStoreError):
    """RBAC refuses; the message names the rule that would help."""


class RejectedError(MapStoreError):
    """The cluster refuses this write: admission, quota, a namespace being deleted."""


class UnauthorizedError(MapStoreError):
    """The credentials are not accepted."""


class NamespaceNotFoundError(MapStoreError):
    """The namespace doesn't exist."""


class ImmutableError(MapStoreError):
    """The ConfigMap is marked immutable."""


class UnavailableError(MapStoreError):
    """The API server can't be reached or doesn't answer usefully."""


class OverloadedError(MapStoreError):
    """The API server, or this process' write budget, asks to slow down."""


class DeadlineError(MapStoreError, TimeoutError):
    """The deadline passed; a write is not applied."""


class CancelledError(MapStoreError):
    """The call was cancelled; the message says whether a write may have been sent."""


class StaleError(MapStoreError):
    """A watched cache has heard nothing for longer than allowed."""


class ClosedError(MapStoreError):
    """The store is closed."""


class ForkedError(MapStoreError):
    """The store was opened before a fork; open it again in the child."""


class ConfigError(MapStoreError):
    """Cluster, credentials or namespace can't be worked out from the configuration."""


class InternalError(MapStoreError):
    """A defect of mapstore."""


_CLASSES: dict[str, type[MapStoreError]] = {
    cls.__name__[: -len("Error")]: cls
    for cls in (
        InvalidArgumentError,
        TooLargeError,
        ConflictError,
        OutcomeUnknownError,
        ForbiddenError,
        RejectedError,
        UnauthorizedError,
        NamespaceNotFoundError,
        ImmutableError,
        UnavailableError,
        OverloadedError,
        DeadlineError,
        CancelledError,
        StaleError,
        ClosedError,
        ForkedError,
        ConfigError,
        InternalError,
    )
}


def from_native(
    details: tuple[str, int, str, str, Optional[int]],
    retryable: bool,
    used: Optional[int],
    limit: Optional[int],
) -> MapStoreError:
    """Called by the native module for each failure."""
    kind, code, message, subject, status = details
    error = _CLASSES[kind](message)
    error.kind, error.code, error.subject, error.http_status = kind, code, subject, status
    error.retryable, error.used, error.limit = retryable, used, limit
    return error


def key_not_found(key: str) -> KeyNotFoundError:
    error = KeyNotFoundError(f"key {key!r}: there is no such key")
    error.subject = key
    return error
