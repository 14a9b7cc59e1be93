"""The store as a mapping. What it means is the native module's; here it gets Python's manners.

Here and beside, whole modules are imported: stubtest takes imported names for the module's own.
"""

from __future__ import annotations

import logging
import os
import time
import typing as t
from collections import abc

from . import _native, _snapshot
from ._errors import InvalidArgumentError, key_not_found, store_is_empty
from ._snapshot import Snapshot
from ._types import Delete, HasKeys, Usage, Written

if t.TYPE_CHECKING:
    # Every type checker knows this module; nobody needs to have it installed.
    import typing_extensions as te
else:
    from . import _untyped as te

__all__ = ["Store", "verify_connection"]

_log = logging.getLogger("mapstore")
_T = t.TypeVar("_T")
_Timeout = t.Optional[float]
_Cancel = t.Optional[_native.CancelToken]
_Change = t.Callable[[t.Optional[bytes]], t.Union[te.Buffer, Delete]]
_MISSING: t.Any = object()


class Store(abc.MutableMapping[str, bytes]):
    """A key/value store over one ConfigMap: a mapping of ``str`` to ``bytes``.

    Any number of threads may use it. Calls release the GIL while they wait, and
    Ctrl-C ends them. Every method that may wait takes ``timeout`` (seconds,
    for this call) and ``cancel`` (a CancelToken).

    ``keys()``, ``items()``, ``values()``, ``copy()``, iterating and ``==`` make
    one request each and see one revision. ``dict(store)`` and ``{**store}`` read
    key by key, as Python has it, in mode "none" with a request for each key:
    write ``store.copy()`` or ``dict(store.items())``.
    """

    _core: _native.Store
    _timeout: float

    def __init__(
        self,
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
        cancel: _Cancel = None,
    ) -> None:
        path = None if kubeconfig is None else os.fsencode(kubeconfig)
        self._timeout = timeout
        self._core = _native.Store(
            name,
            namespace,
            path,
            context,
            cache,
            timeout,
            text_values,
            binary_only,
            strict_lookup,
            write_budget,
            cancel,
        )

    @property
    def name(self) -> str:
        """The name of the ConfigMap."""
        return self._core.name

    @property
    def namespace(self) -> str:
        """The namespace of the ConfigMap."""
        return self._core.namespace

    # --- reads

    def __getitem__(self, key: str) -> bytes:
        value = self._core.get(key)
        if value is None:
            raise key_not_found(key)
        return value

    @t.overload
    def get(
        self, key: str, /, default: None = None, *, timeout: _Timeout = None, cancel: _Cancel = None
    ) -> t.Optional[bytes]: ...
    @t.overload
    def get(
        self, key: str, /, default: t.Union[bytes, _T], *, timeout: _Timeout = None, cancel: _Cancel = None
    ) -> t.Union[bytes, _T]: ...
    def get(
        self, key: str, /, default: t.Any = None, *, timeout: _Timeout = None, cancel: _Cancel = None
    ) -> t.Any:
        """The value, or ``default`` if there is no such key."""
        value = self._core.get(key, timeout, cancel)
        return default if value is None else value

    def contains(self, key: str, *, timeout: _Timeout = None, cancel: _Cancel = None) -> bool:
        """Whether there is such a key. Unlike ``in``, it refuses what can't be a key."""
        return self._core.contains(key, timeout, cancel)

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, str) and self._core.contains(key)
        except InvalidArgumentError:
            return False

    def len(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> int:
        """How many keys there are."""
        return self._core.len(timeout, cancel)

    def __len__(self) -> int:
        return self._core.len()

    def __bool__(self) -> bool:
        return True

    def snapshot(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> Snapshot:
        """The whole map at one revision."""
        return _snapshot.of(self._core.snapshot(timeout, cancel))

    def copy(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> dict[str, bytes]:
        """A dict of one snapshot."""
        return self.snapshot(timeout=timeout, cancel=cancel).copy()

    def __iter__(self) -> abc.Iterator[str]:
        return iter(self.snapshot())

    def keys(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> abc.KeysView[str]:
        """All keys of one snapshot, sorted."""
        return self.snapshot(timeout=timeout, cancel=cancel).keys()

    def items(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> abc.ItemsView[str, bytes]:
        """All items of one snapshot."""
        return self.snapshot(timeout=timeout, cancel=cancel).items()

    def values(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> abc.ValuesView[bytes]:
        """All values of one snapshot."""
        return self.snapshot(timeout=timeout, cancel=cancel).values()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, abc.Mapping):
            return NotImplemented
        return self.copy() == _entries(other)

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: abc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return NotImplemented if not isinstance(other, abc.Mapping) else {**self.copy(), **_entries(other)}

    def __ror__(self, other: abc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return NotImplemented if not isinstance(other, abc.Mapping) else {**other, **self.copy()}

    def refresh(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> None:
        """Reads the map again: afterwards memory is at least as new as the server was at the call."""
        self._core.refresh(timeout, cancel)

    def usage(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> Usage:
        """How full the store is."""
        return Usage(*self._core.usage(timeout, cancel))

    # --- writes

    def __setitem__(self, key: str, value: te.Buffer) -> None:
        self.set(key, value)

    def set(self, key: str, value: te.Buffer, *, timeout: _Timeout = None, cancel: _Cancel = None) -> Written:
        """Stores a value, unless it is stored already."""
        return _wrote("set", self._core.set(key, value, timeout, cancel))

    def force_set(
        self, key: str, value: te.Buffer, *, timeout: _Timeout = None, cancel: _Cancel = None
    ) -> Written:
        """Stores a value in a new revision, even if it is stored already."""
        return _wrote("force_set", self._core.force_set(key, value, timeout, cancel))

    def delete(self, key: str, *, timeout: _Timeout = None, cancel: _Cancel = None) -> Written:
        """Removes a key. A missing one is fine, unlike with ``del``."""
        return _wrote("delete", self._core.delete(key, timeout, cancel))

    def truncate(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> Written:
        """Removes every key, other writers' too, in one write. The ConfigMap stays."""
        return _wrote("truncate", self._core.truncate(timeout, cancel))

    def clear(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> None:
        """``truncate``."""
        self.truncate(timeout=timeout, cancel=cancel)

    def apply(self, batch: _native.Batch, *, timeout: _Timeout = None, cancel: _Cancel = None) -> Written:
        """Makes all changes of a batch in one revision, or none of them.

        A condition that doesn't hold is a ConflictError that says which one.
        """
        return _wrote("apply", self._core.apply(batch, timeout, cancel))

    def compare_and_set(
        self,
        key: str,
        expected: t.Optional[te.Buffer],
        value: t.Optional[te.Buffer],
        *,
        timeout: _Timeout = None,
        cancel: _Cancel = None,
    ) -> Written:
        """Stores ``value`` (None: removes the key) if the key has exactly the value
        ``expected`` (None: if it is missing); else ConflictError, and nothing is written.
        """
        return _wrote("compare_and_set", self._core.compare_and_set(key, expected, value, timeout, cancel))

    # MutableMapping's takes any keyword for a key.
    @t.overload  # type: ignore[override]
    def update(
        self, key_or_items: str, change: _Change, /, *, timeout: _Timeout = None, cancel: _Cancel = None
    ) -> Written: ...
    @t.overload
    def update(
        self,
        key_or_items: HasKeys,
        /,
        *,
        timeout: _Timeout = None,
        cancel: _Cancel = None,
        **more: te.Buffer,
    ) -> None: ...
    @t.overload
    def update(
        self,
        key_or_items: abc.Iterable[tuple[str, te.Buffer]],
        /,
        *,
        timeout: _Timeout = None,
        cancel: _Cancel = None,
        **more: te.Buffer,
    ) -> None: ...
    @t.overload
    def update(self, /, *, timeout: _Timeout = None, cancel: _Cancel = None, **more: te.Buffer) -> None: ...
    def update(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        key_or_items: t.Any = (),
        change: t.Any = _MISSING,
        /,
        *,
        timeout: _Timeout = None,
        cancel: _Cancel = None,
        **more: t.Any,
    ) -> t.Optional[Written]:
        """Two things by one name.

        ``update(mapping_or_pairs, **more)``: MutableMapping's, all in one ``apply``.

        ``update(key, change)``: read-modify-write, whoever else writes. ``change``
        is given the value (None: no such key) and returns the new one, or
        ``mapstore.DELETE`` to remove the key; it is called again if somebody was
        faster. It stops at OutcomeUnknownError: the change may have been made.

        ``timeout`` and ``cancel`` are settings of the call: keys of these names go
        into the mapping.
        """
        if change is not _MISSING:
            return self._change(key_or_items, change, timeout, cancel, more)
        if isinstance(key_or_items, (str, bytes)):
            raise TypeError("update: pass a mapping or pairs; update(key, function) changes one value")
        _check_settings(timeout, cancel)
        batch = _native.Batch()
        for key, value in _pairs(key_or_items, more):
            batch.set(key, value)
        self.apply(batch, timeout=timeout, cancel=cancel)
        return None

    def _change(
        self, key: str, change: _Change, timeout: _Timeout, cancel: _Cancel, more: dict[str, t.Any]
    ) -> Written:
        if more:
            raise TypeError(f"update(key, function) takes timeout= and cancel=, not {', '.join(more)}")
        if not callable(change):
            raise TypeError(
                f"update(key, change): change is a function of the old value, not {type(change).__name__}; "
                "set(key, value) stores a value"
            )
        update = self._core.begin_update(key, timeout, cancel)
        while True:
            value = change(update.value())
            if value is None:  # type: ignore[comparison-overlap, unused-ignore]
                raise TypeError(
                    "update: the function returned None, nothing was written: return the new value, "
                    "or mapstore.DELETE to remove the key"
                )
            done = update.commit(None if isinstance(value, Delete) else value)
            if done is not None:
                return _wrote("update", done)

    def __ior__(self, other: t.Any) -> te.Self:  # type: ignore[misc]
        self.update(other)
        return self

    def setdefault(
        self, key: str, default: te.Buffer = b"", *, timeout: _Timeout = None, cancel: _Cancel = None
    ) -> bytes:
        """The value; ``default``, which is then stored, if there is no such key."""
        update = self._core.begin_update(key, timeout, cancel)
        while True:
            value = update.value()
            if value is not None:
                return value
            _refuse_none(default)
            done = update.commit(default)
            if done is not None:
                _wrote("setdefault", done)
                return bytes(memoryview(default))

    @t.overload
    def pop(self, key: str, /, *, timeout: _Timeout = None, cancel: _Cancel = None) -> bytes: ...
    @t.overload
    def pop(
        self, key: str, /, default: t.Union[bytes, _T], *, timeout: _Timeout = None, cancel: _Cancel = None
    ) -> t.Union[bytes, _T]: ...
    def pop(
        self, key: str, /, default: t.Any = _MISSING, *, timeout: _Timeout = None, cancel: _Cancel = None
    ) -> t.Any:
        """Removes a key and gives the value that it had, or ``default`` if there was none."""
        update = self._core.begin_update(key, timeout, cancel)
        while True:
            value = update.value()
            if value is None:
                if default is _MISSING:
                    raise key_not_found(key)
                return default
            done = update.commit(None)
            if done is not None:
                _wrote("pop", done)
                return value

    def popitem(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> tuple[str, bytes]:
        """Removes the first key and gives it with its value; KeyError if the store is empty."""
        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        while True:
            key = next(iter(self.snapshot(timeout=timeout, cancel=cancel)), None)
            if key is None:
                raise store_is_empty()
            value = self.pop(key, None, timeout=_left(end), cancel=cancel)
            if value is not None:
                return key, value
            timeout = _left(end)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    # --- life

    def verify_connection(self, *, timeout: _Timeout = None, cancel: _Cancel = None) -> None:
        """Whether the store can work: the cluster is reachable and the rights are there. Changes nothing."""
        self._core.verify_connection(timeout, cancel)

    def close(self) -> None:
        """Closes the store. Calls under way in other threads end with ClosedError, later ones too.

        A second time does nothing, and in a forked child neither.
        """
        self._core.close()

    def __enter__(self) -> te.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<mapstore.Store {self.namespace}/{self.name}>"

    def __reduce_ex__(self, _: t.Any) -> t.NoReturn:
        raise TypeError(
            "a mapstore.Store can't be pickled or copied: it is a connection. Open another one where it is "
            "needed; store.copy() is a dict of what it holds"
        )


def verify_connection(
    name: str,
    *,
    namespace: t.Optional[str] = None,
    kubeconfig: t.Union[str, os.PathLike[str], None] = None,
    context: t.Optional[str] = None,
    timeout: float = 10.0,
    strict_lookup: bool = False,
    cancel: _Cancel = None,
) -> None:
    """Whether a store opened like this could work. Changes nothing."""
    path = None if kubeconfig is None else os.fsencode(kubeconfig)
    _native.verify_connection(name, namespace, path, context, timeout, strict_lookup, cancel)


def _wrote(verb: str, written: tuple[t.Optional[str], bool]) -> Written:
    done = Written(*written)
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("%s: changed=%s revision=%s", verb, done.changed, done.revision)
    return done


def _left(end: float) -> float:
    """Seconds until ``end``; the shortest that a call may have if there are none."""
    return max(end - time.monotonic(), 0.001)


def _refuse_none(value: object) -> None:
    """To the native module None means "removes the key"."""
    if value is None:
        raise TypeError("a value is bytes or bytes-like, not NoneType")


def _entries(other: abc.Mapping[t.Any, t.Any]) -> dict[t.Any, t.Any]:
    return other.copy() if isinstance(other, Store) else dict(other)


def _pairs(other: t.Any, more: dict[str, t.Any]) -> abc.Iterable[tuple[str, te.Buffer]]:
    if isinstance(other, Store):
        other = other.snapshot()
    if isinstance(other, abc.Mapping) or hasattr(other, "keys"):
        yield from ((key, other[key]) for key in other.keys())
    else:
        yield from other
    yield from more.items()


def _check_settings(timeout: object, cancel: object) -> None:
    """As keywords these two are settings: a value given so was meant for a key."""
    odd = "timeout" if isinstance(timeout, (bytes, bytearray, memoryview, str)) else None
    if cancel is not None and not isinstance(cancel, _native.CancelToken):
        odd = "cancel"
    if odd is not None:
        raise TypeError(
            f"update: {odd}= is a setting of the call; a key of that name goes into the mapping, {{{odd!r}: …}}"
        )
