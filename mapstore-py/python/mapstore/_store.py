"""The store as a mapping. What it means is the native module's; here it gets Python's manners."""

from __future__ import annotations

import logging
import sys
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from operator import length_hint
from threading import get_ident
from typing import Any, Callable, NamedTuple, NoReturn, Optional, TypeVar, Union, cast, overload

from . import _native
from ._errors import key_not_found

_log = logging.getLogger("mapstore")
_T = TypeVar("_T")
Buffer = Any  # bytes, bytearray, memoryview and whatever else has the buffer protocol


class Written(NamedTuple):
    """What a write did."""

    #: The revision it made, or was compared at if nothing changed; None if the
    #: map doesn't exist and nothing had to be written.
    revision: Optional[str]
    #: Whether anything was written.
    changed: bool


class Usage(NamedTuple):
    """How full a store is; sizes in bytes."""

    keys: int
    key_bytes: int
    value_bytes: int
    value_limit: int
    object_bytes: int
    object_limit: int
    budget_used: int
    budget_limit: int


class Snapshot(Mapping[str, bytes]):
    """The whole map at one revision: it never changes and needs no store."""

    __slots__ = ("_keys", "_native")

    def __init__(self, native: _native.Snapshot) -> None:
        self._native = native
        self._keys = native.names()

    @property
    def revision(self) -> Optional[str]:
        """The map's resourceVersion; None if it didn't exist."""
        return self._native.revision

    def __getitem__(self, key: str) -> bytes:
        value = self._native.value(key)
        if value is None:
            raise key_not_found(key)
        return value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._native.value(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<mapstore.Snapshot of {len(self)} keys at revision {self.revision}>"


class _Keys(KeysView[str]):
    """The keys of one snapshot.

    ``dict(store)`` asks for the keys and then for one value after the other: all
    of it within one instruction of the caller, so that it can have its values
    from the same snapshot. That is how it is recognized: the keys are listed in
    the very instruction that asked for them.
    """

    __slots__ = ("_asked", "_snapshot", "_store")

    def __init__(self, store: Store, snapshot: Snapshot, asked: tuple[int, int, int]) -> None:
        super().__init__(snapshot)
        self._store, self._snapshot, self._asked = store, snapshot, asked

    def __iter__(self) -> Iterator[str]:
        if self._asked == _instruction():
            self._store._serve(self._asked, self._snapshot)
        return iter(self._snapshot)


def _instruction(depth: int = 2) -> tuple[int, int, int]:
    """The thread, the frame and the instruction that called our caller, or one ``depth`` calls up."""
    frame = sys._getframe(depth)
    return get_ident(), id(frame), frame.f_lasti


class Store(_native.Store, MutableMapping[str, bytes]):
    """A key/value store over one ConfigMap: a mapping of ``str`` to ``bytes``.

    Any number of threads may use it. Calls release the GIL while they wait, and
    Ctrl-C ends them. Iterating, ``items()``, ``values()``, ``dict()`` and ``==``
    work on one snapshot, whatever the number of keys.
    """

    # By thread: what a dict() under way is still to be given.
    _serving: dict[int, tuple[tuple[int, int, int], Snapshot, Iterator[str]]]

    def __init__(self, *_: object, **__: object) -> None:
        self._serving = {}

    # --- reads

    def __getitem__(self, key: str) -> bytes:
        if self._serving:
            served = self._served(key)
            if served is not None:
                return served
        value = self.find_value(key)
        if value is None:
            raise key_not_found(key)
        return value

    @overload
    def get(
        self, key: str, /, *, timeout: Optional[float] = None, cancel: Optional[_native.CancelToken] = None
    ) -> Optional[bytes]: ...
    @overload
    def get(
        self,
        key: str,
        /,
        default: Union[bytes, _T],
        *,
        timeout: Optional[float] = None,
        cancel: Optional[_native.CancelToken] = None,
    ) -> Union[bytes, _T]: ...
    def get(
        self,
        key: str,
        /,
        default: Any = None,
        *,
        timeout: Optional[float] = None,
        cancel: Optional[_native.CancelToken] = None,
    ) -> Any:
        """The value, or ``default`` if there is no such key."""
        value = self.find_value(key, timeout, cancel)
        return default if value is None else value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.contains(key)

    def __len__(self) -> int:
        return self.len()

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.snapshot())

    def snapshot(
        self, *, timeout: Optional[float] = None, cancel: Optional[_native.CancelToken] = None
    ) -> Snapshot:
        """The whole map at one revision."""
        return Snapshot(self.take_snapshot(timeout, cancel))

    def keys(self) -> KeysView[str]:
        """All keys, sorted, of one snapshot."""
        return _Keys(self, self.snapshot(), _instruction())

    def items(self) -> ItemsView[str, bytes]:
        """All items of one snapshot."""
        return self.snapshot().items()

    def values(self) -> ValuesView[bytes]:
        """All values of one snapshot."""
        return self.snapshot().values()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Store):
            other = other.snapshot()
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.snapshot()) == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def usage(
        self, *, timeout: Optional[float] = None, cancel: Optional[_native.CancelToken] = None
    ) -> Usage:
        """How full the store is."""
        return Usage(*self.find_usage(timeout, cancel))

    # --- writes

    def __setitem__(self, key: str, value: Buffer) -> None:
        self.set(key, value)

    def set(
        self,
        key: str,
        value: Buffer,
        *,
        timeout: Optional[float] = None,
        cancel: Optional[_native.CancelToken] = None,
    ) -> Written:
        """Stores a value, unless it is stored already."""
        return self._wrote("set", self.do_set(key, value, timeout, cancel))

    def force_set(
        self,
        key: str,
        value: Buffer,
        *,
        timeout: Optional[float] = None,
        cancel: Optional[_native.CancelToken] = None,
    ) -> Written:
        """Stores a value in a new revision, even if it is stored already."""
        return self._wrote("force_set", self.do_force_set(key, value, timeout, cancel))

    def delete(
        self, key: str, *, timeout: Optional[float] = None, cancel: Optional[_native.CancelToken] = None
    ) -> Written:
        """Removes a key. A missing one is fine, unlike with ``del``."""
        return self._wrote("delete", self.do_delete(key, timeout, cancel))

    def truncate(
        self, *, timeout: Optional[float] = None, cancel: Optional[_native.CancelToken] = None
    ) -> Written:
        """Removes every key, other writers' too, in one write. The ConfigMap stays."""
        return self._wrote("truncate", self.do_truncate(timeout, cancel))

    def clear(self) -> None:
        """``truncate``."""
        self.truncate()

    def apply(
        self,
        batch: _native.Batch,
        *,
        timeout: Optional[float] = None,
        cancel: Optional[_native.CancelToken] = None,
    ) -> Written:
        """Makes all changes of a batch in one revision, or none of them.

        A condition that doesn't hold is a ConflictError that says which one.
        """
        return self._wrote("apply", self.do_apply(batch, timeout, cancel))

    def compare_and_set(
        self,
        key: str,
        expected: Optional[Buffer],
        value: Optional[Buffer],
        *,
        timeout: Optional[float] = None,
        cancel: Optional[_native.CancelToken] = None,
    ) -> Written:
        """Stores ``value`` (None: removes the key) if the key has exactly the value
        ``expected`` (None: if it is missing); else ConflictError, and nothing is written.
        """
        return self._wrote("compare_and_set", self.do_compare_and_set(key, expected, value, timeout, cancel))

    def update(self, other: Any = (), /, change: Any = None, **more: Any) -> Any:
        """Two things by one name.

        ``update(mapping_or_pairs, **more)``: MutableMapping's, all in one ``apply``.

        ``update(key, change, timeout=None)``: read-modify-write, whoever else
        writes. ``change`` is given the value (None: no such key) and returns the
        new one (None: remove it); it is called again if somebody was faster. It
        stops at OutcomeUnknownError: the change may have been made.
        """
        if isinstance(other, str) and callable(change):
            return self._change(other, change, **more)
        if change is not None:
            more["change"] = change
        batch = _native.Batch()
        for key, value in _pairs(other, more):
            batch.set(key, value)
        self.apply(batch)
        return None

    def _change(
        self,
        key: str,
        change: Callable[[Optional[bytes]], Optional[Buffer]],
        timeout: Optional[float] = None,
        cancel: Optional[_native.CancelToken] = None,
    ) -> Written:
        update = self.begin_update(key, timeout, cancel)
        while True:
            done = update.commit(change(update.value()))
            if done is not None:
                return self._wrote("update", done)

    def setdefault(self, key: str, default: Buffer = b"") -> bytes:
        """The value; ``default``, which is then stored, if there is no such key."""
        update = self.begin_update(key)
        while True:
            value = update.value()
            if value is not None:
                return value
            done = update.commit(default)
            if done is not None:
                self._wrote("setdefault", done)
                return bytes(memoryview(default))

    _MISSING: Any = object()

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Removes a key and gives the value that it had, or ``default`` if there was none."""
        update = self.begin_update(key)
        while True:
            value = update.value()
            if value is None:
                if default is Store._MISSING:
                    raise key_not_found(key)
                return default
            done = update.commit(None)
            if done is not None:
                self._wrote("pop", done)
                return value

    def popitem(self) -> tuple[str, bytes]:
        """Removes a key and gives it with its value; KeyError if there is none."""
        while True:
            key = next(iter(self.snapshot()), None)
            if key is None:
                raise key_not_found("")
            value = self.pop(key, None)
            if value is not None:
                return key, cast(bytes, value)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    # --- life

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<mapstore.Store {self.namespace}/{self.name}>"

    def __reduce_ex__(self, _: Any) -> NoReturn:
        raise TypeError(
            "a mapstore.Store can't be pickled or copied: it is a connection. Open another one where it is needed"
        )

    # --- within

    @staticmethod
    def _wrote(verb: str, written: tuple[Optional[str], bool]) -> Written:
        done = Written(*written)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: changed=%s revision=%s", verb, done.changed, done.revision)
        return done

    def _serve(self, asked: tuple[int, int, int], snapshot: Snapshot) -> None:
        if snapshot:
            self._serving[asked[0]] = (asked, snapshot, iter(snapshot))

    def _served(self, key: str) -> Optional[bytes]:
        """The value for a ``dict()`` under way: in the same instruction, key by key."""
        thread = get_ident()
        serving = self._serving.get(thread)
        if serving is None:
            return None
        asked, snapshot, keys = serving
        expected = asked == _instruction(3) and next(keys, None) is key
        if not expected or length_hint(keys) == 0:
            del self._serving[thread]
        return snapshot[key] if expected else None


def _pairs(other: Any, more: dict[str, Any]) -> Iterable[tuple[str, Buffer]]:
    if isinstance(other, Store):
        other = other.snapshot()
    if isinstance(other, Mapping) or hasattr(other, "keys"):
        yield from ((key, other[key]) for key in other.keys())
    else:
        yield from other
    yield from more.items()
