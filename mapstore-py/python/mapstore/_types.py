"""What goes into a store and comes out of it, beside keys and exceptions."""

from __future__ import annotations

import enum
import typing as t

if t.TYPE_CHECKING:
    # Every type checker knows this module; nobody needs to have it installed.
    import typing_extensions as te
else:
    from . import _untyped as te

__all__ = ["DELETE", "UNLIMITED", "Delete", "Usage", "Written"]

#: As a write budget: no limit.
UNLIMITED: t.Final = 2**64 - 1


class Delete(enum.Enum):
    """The type of DELETE, for annotations."""

    DELETE = "DELETE"

    def __repr__(self) -> str:
        return "mapstore.DELETE"


#: What the function of an ``update`` returns to remove the key.
DELETE: t.Final = Delete.DELETE


class HasKeys(t.Protocol):
    """A mapping, as far as ``update`` needs one."""

    def keys(self) -> t.Iterable[str]: ...
    def __getitem__(self, key: str, /) -> te.Buffer: ...


class Written(t.NamedTuple):
    """What a write did: ``revision`` and ``changed``.

    ``revision`` is the one it made, or was compared at if nothing changed; None
    if the map doesn't exist and nothing had to be written. ``changed``: whether
    anything was written.
    """

    revision: t.Optional[str]
    changed: bool


class Usage(t.NamedTuple):
    """How full a store is; sizes in bytes.

    ``value_bytes`` of ``value_limit``: the values. ``object_bytes`` of
    ``object_limit``: keys and values as the stored object has them.
    ``budget_used`` of ``budget_limit``: what this process has had stored in the
    last five minutes, over all its maps.
    """

    keys: int
    key_bytes: int
    value_bytes: int
    value_limit: int
    object_bytes: int
    object_limit: int
    budget_used: int
    budget_limit: int
