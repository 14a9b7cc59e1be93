"""The whole map at one revision, as a mapping."""

from __future__ import annotations

import typing as t
from collections import abc

from . import _native
from ._errors import InvalidArgumentError, key_not_found

__all__ = ["Snapshot"]


class Snapshot(abc.Mapping[str, bytes]):
    """The whole map at one revision: it never changes and needs no store.

    It can be pickled and copied. ``dict(snapshot)`` is a dict of one's own.
    """

    __slots__ = ("_keys", "_taken")

    _taken: t.Union[_native.Snapshot, _Unpickled]
    _keys: list[str]

    def __init__(self, *_: t.Any, **__: t.Any) -> None:
        raise TypeError("a mapstore.Snapshot is made by Store.snapshot()")

    @property
    def revision(self) -> t.Optional[str]:
        """The map's resourceVersion; None if it didn't exist."""
        return self._taken.revision

    def copy(self) -> dict[str, bytes]:
        """A dict of it."""
        return {key: self[key] for key in self._keys}

    def __getitem__(self, key: str) -> bytes:
        value = self._taken.get(key)
        if value is None:
            raise key_not_found(key)
        return value

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, str) and self._taken.get(key) is not None
        except InvalidArgumentError:
            return False

    def __iter__(self) -> abc.Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __or__(self, other: abc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        if not isinstance(other, abc.Mapping):
            return NotImplemented
        return {**self.copy(), **other}

    def __ror__(self, other: abc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        if not isinstance(other, abc.Mapping):
            return NotImplemented
        return {**other, **self.copy()}

    def __repr__(self) -> str:
        return f"<mapstore.Snapshot of {len(self)} keys at revision {self.revision}>"

    def __copy__(self) -> Snapshot:
        return self

    def __deepcopy__(self, _: object) -> Snapshot:
        return self

    def __reduce__(self) -> tuple[t.Any, ...]:
        return _unpickle, (self.revision, self.copy())


class _Unpickled:
    """What a snapshot of another process held."""

    __slots__ = ("_entries", "revision")

    def __init__(self, revision: t.Optional[str], entries: dict[str, bytes]) -> None:
        self.revision, self._entries = revision, entries

    def get(self, key: str) -> t.Optional[bytes]:
        return self._entries.get(key)

    def keys(self) -> list[str]:
        return list(self._entries)


def of(taken: t.Union[_native.Snapshot, _Unpickled]) -> Snapshot:
    """The snapshot that was taken so."""
    snapshot = Snapshot.__new__(Snapshot)
    snapshot._taken, snapshot._keys = taken, taken.keys()
    return snapshot


def _unpickle(revision: t.Optional[str], entries: dict[str, bytes]) -> Snapshot:
    return of(_Unpickled(revision, entries))
