"""A key/value store over one Kubernetes ConfigMap.

>>> import mapstore
>>> with mapstore.open("my-settings") as store:        # doctest: +SKIP
...     store["colour"] = b"blue"
...     store.update("visits", lambda old: str(int(old or 0) + 1).encode())

Calls block, release the GIL and end with Ctrl-C; each has a deadline. In a
forked child a store answers ForkedError: open another there (with
multiprocessing, in the worker); closing the parent's does nothing there. Subinterpreters are refused at import. Log
records of the logger "mapstore" hold no values.
"""

from __future__ import annotations

import os
import typing as t

from ._errors import (
    CancelledError,
    ClosedError,
    ConfigError,
    ConflictError,
    DeadlineError,
    ForbiddenError,
    ForkedError,
    ImmutableError,
    InternalError,
    InvalidArgumentError,
    KeyNotFoundError,
    MapStoreError,
    NamespaceNotFoundError,
    OutcomeUnknownError,
    OverloadedError,
    RejectedError,
    StaleError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
)
from ._native import Batch, CancelToken, __version__
from ._snapshot import Snapshot
from ._store import Store, verify_connection
from ._types import DELETE, UNLIMITED, Delete, Usage, Written

for _public in (Delete, Snapshot, Store, Usage, Written, verify_connection):
    _public.__module__ = "mapstore"


def open(
    name: str,
    *,
    namespace: t.Optional[str] = None,
    kubeconfig: t.Union[str, os.PathLike[str], None] = None,
    context: t.Optional[str] = None,
    cache: t.Literal["none", "exclusive"] = "none",
    timeout: float = 10.0,
    text_values: bool = False,
    binary_only: bool = False,
    strict_lookup: bool = False,
    write_budget: t.Optional[int] = None,
    cancel: t.Optional[CancelToken] = None,
) -> Store:
    """Opens the store over the ConfigMap ``name``.

    ``cache``: "none" asks the API server at every read and sends nothing now;
    "exclusive" reads the map once, now, and then from memory. ``timeout`` in
    seconds bounds every call that doesn't set its own. ``text_values``: new
    values are stored as text, readable for kubectl, if they survive its YAML
    (UTF-8 without U+007F to U+009F, U+FFFE and U+FFFF).
    ``binary_only``: the store sees, counts, sets and truncates the ConfigMap's
    ``binaryData`` only. ``strict_lookup``: cluster and namespace are taken from
    MAPSTORE_CLUSTER_CONFIG_PATH, NAMESPACE and the service account only.
    ``write_budget``: bytes this process may have stored in five minutes, over
    all maps, for as long as it runs (128 MiB): half of it at once, then writes
    are slowed to that rate. ``cancel`` ends the opening, as
    it does with every call that takes one. Where the cluster and the
    namespace come from otherwise is in the README.
    """
    return Store(
        name,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
        cache=cache,
        timeout=timeout,
        text_values=text_values,
        binary_only=binary_only,
        strict_lookup=strict_lookup,
        write_budget=write_budget,
        cancel=cancel,
    )


__all__ = [
    "DELETE",
    "UNLIMITED",
    "Batch",
    "CancelToken",
    "CancelledError",
    "ClosedError",
    "ConfigError",
    "ConflictError",
    "DeadlineError",
    "Delete",
    "ForbiddenError",
    "ForkedError",
    "ImmutableError",
    "InternalError",
    "InvalidArgumentError",
    "KeyNotFoundError",
    "MapStoreError",
    "NamespaceNotFoundError",
    "OutcomeUnknownError",
    "OverloadedError",
    "RejectedError",
    "Snapshot",
    "StaleError",
    "Store",
    "TooLargeError",
    "UnauthorizedError",
    "UnavailableError",
    "Usage",
    "Written",
    "__version__",
    "open",
    "verify_connection",
]
