"""The exceptions: one class for each kind of failure, all of them MapStoreError."""

from __future__ import annotations

import json
import typing as t

from ._native import first_exceptions


class MapStoreError(Exception):
    """A call failed.

    ``str()`` of it says what happened and what to do; it holds no stored value
    and no credential.
    """

    #: The number of the kind, the same in every language; 0 for a missing key.
    code: int = 0
    #: The name of the kind, as in the documentation.
    kind: str = ""
    #: What it is about: a key (key "colour"), a map, a file, a variable.
    subject: str = ""
    #: The status of the API server's refusal, if it was one.
    http_status: t.Optional[int] = None
    #: The same call may succeed later without anybody changing anything.
    retryable: bool = False
    #: Of a TooLargeError, in bytes, where known.
    used: t.Optional[int] = None
    limit: t.Optional[int] = None

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


_KINDS = (
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

_classes: dict[str, type[MapStoreError]] = {cls.__name__[: -len("Error")]: cls for cls in _KINDS}
_classes.update(MapStore=MapStoreError, KeyNotFound=KeyNotFoundError)
for _class in _classes.values():
    _class.__module__ = "mapstore"
# By these names too: where the package is imported a second time, its names are those of the first import.
globals().update({cls.__name__: cls for cls in first_exceptions(_classes).values()})


def key_not_found(key: str) -> KeyNotFoundError:
    error = KeyNotFoundError(f"key {json.dumps(key)}: there is no such key")
    error.subject = f"key {json.dumps(key)}"
    return error


def store_is_empty() -> KeyNotFoundError:
    return KeyNotFoundError("popitem: the store is empty")
