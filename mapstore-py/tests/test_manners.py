"""Keys, values and mistakes: what a program is told, and what it may rely on."""

from __future__ import annotations

import contextlib
import copy
import inspect
import mmap
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import mapstore
import mapstore.testing


@pytest.fixture(params=["none", "exclusive"])
def store(
    request: pytest.FixtureRequest, mapstore_server: mapstore.testing.DevServer
) -> Iterator[mapstore.Store]:
    with mapstore_server.open("manners", cache=request.param) as store:
        store.clear()
        yield store


def test_what_can_not_be_a_key_is_not_in_a_store(store: mapstore.Store) -> None:
    for odd in ("a/b", "", "\ud800", "..", "k" * 254):
        assert odd not in store and odd not in store.snapshot()
        for call in (store.contains, store.get, store.delete, store.__getitem__, mapstore.Batch().delete):
            with pytest.raises(mapstore.InvalidArgumentError, match="key"):
                call(odd)
        with pytest.raises(mapstore.InvalidArgumentError):
            store.set(odd, b"")
        with pytest.raises(mapstore.InvalidArgumentError):
            store.update(odd, lambda old: b"")
    with pytest.raises(TypeError, match="a key is str, not bytes: decode it"):
        store.get(b"k")  # type: ignore[call-overload]


def test_a_surrogate_in_a_name_is_an_invalid_argument(mapstore_server: Any) -> None:
    for odd in ({"name": "\ud800"}, {"name": "x", "namespace": "\udc80"}, {"name": "x", "context": "\udfff"}):
        with pytest.raises(mapstore.InvalidArgumentError, match="surrogate"):
            mapstore.open(kubeconfig=mapstore_server.kubeconfig, **odd)


def test_a_missing_key_and_a_refused_one_have_subjects_of_one_form(store: mapstore.Store) -> None:
    with pytest.raises(mapstore.KeyNotFoundError) as missing:
        store["k"]
    with pytest.raises(mapstore.ConflictError) as refused:
        store.compare_and_set("k", b"1", b"2")
    assert missing.value.subject == refused.value.subject == 'key "k"'


def test_a_forgotten_return_does_not_delete(store: mapstore.Store) -> None:
    store["k"] = b"1"
    with pytest.raises(TypeError, match=r"returned None.*mapstore\.DELETE"):
        store.update("k", lambda old: None)  # type: ignore[arg-type, return-value]
    assert store["k"] == b"1"
    assert store.update("k", lambda old: mapstore.DELETE).changed
    assert "k" not in store and repr(mapstore.DELETE) == "mapstore.DELETE"
    assert pickle.loads(pickle.dumps(mapstore.DELETE)) is mapstore.DELETE


def test_mistaken_updates_say_what_was_meant(store: mapstore.Store) -> None:
    wrong: Any = store.update
    for call, says in (
        (lambda: wrong("k", b"v"), "function of the old value, not bytes"),
        (lambda: wrong("k", None), "function of the old value, not NoneType"),
        (lambda: wrong("k"), "a mapping or pairs"),
        (lambda: wrong("k", lambda old: b"", more=b"1"), "not more"),
        (lambda: wrong({"a": b"1"}, timeout=b"3"), "timeout= is a setting"),
        (lambda: wrong({"a": b"1"}, cancel=b"3"), "cancel= is a setting"),
        (lambda: wrong({"a": "text"}), "encode"),
        (lambda: store.setdefault("k", None), "NoneType"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=says):
            call()
    assert store == {}
    with pytest.raises(mapstore.InvalidArgumentError, match="timeout"):
        store.update({"a": b"1"}, timeout=-1)
    store.update({"timeout": b"1"}, timeout=3, other=b"2")
    assert store == {"timeout": b"1", "other": b"2"}


def test_released_and_closed_buffers_say_so(store: mapstore.Store) -> None:
    view = memoryview(b"x")
    view.release()
    mapped = mmap.mmap(-1, 4)
    mapped.close()
    for value, says in ((view, "released memoryview"), (mapped, "mmap closed")):
        for call in (store.set, store.force_set, store.setdefault, mapstore.Batch().set):
            with pytest.raises(ValueError, match=says):
                call("k", value)


def test_snapshots_are_pickled_and_copied(store: mapstore.Store) -> None:
    store.update({"a": b"1", "b": b"\xff"})
    taken = store.snapshot()
    for other in (pickle.loads(pickle.dumps(taken)), copy.copy(taken), copy.deepcopy(taken)):
        assert other == taken == {"a": b"1", "b": b"\xff"} and other.revision == taken.revision
        assert isinstance(other, mapstore.Snapshot) and list(other) == ["a", "b"] and "c" not in other
        with pytest.raises(mapstore.KeyNotFoundError):
            other["c"]
    with pytest.raises(TypeError, match=r"Store\.snapshot"):
        mapstore.Snapshot()


def test_errors_are_pickled(store: mapstore.Store) -> None:
    with pytest.raises(mapstore.ConflictError) as refused:
        store.compare_and_set("k", b"1", b"2")
    other = pickle.loads(pickle.dumps(refused.value))
    assert type(other) is mapstore.ConflictError and str(other) == str(refused.value)
    assert other.code == 3 and other.subject == refused.value.subject


def test_or_makes_dicts_and_changes_stores(store: mapstore.Store) -> None:
    store["a"] = b"1"
    assert store | {"b": b"2"} == {"a": b"1", "b": b"2"} and {"a": b"0"} | store == {"a": b"1"}
    assert store.snapshot() | {"b": b"2"} == {"a": b"1", "b": b"2"} == {"b": b"2"} | store.snapshot()
    assert type(store | {}) is dict and store == {"a": b"1"}
    same = store
    store |= {"b": b"2"}
    store |= [("c", b"3")]
    assert store is same and store.copy() == {"a": b"1", "b": b"2", "c": b"3"}
    with pytest.raises(TypeError):
        store | 5  # type: ignore[operator]


def calls(store: mapstore.Store) -> Iterator[Any]:
    """Every method that may wait, with its arguments."""
    arguments: dict[str, tuple[Any, ...]] = {
        "apply": (mapstore.Batch().if_absent("k"),),
        "compare_and_set": ("k", None, None),
        "set": ("k", b""),
        "force_set": ("k", b""),
        "setdefault": ("k", b""),
        "pop": ("k", b""),
    }
    plain = ("clear", "copy", "items", "keys", "len", "popitem", "refresh", "snapshot", "truncate", "usage")
    for name in (*plain, "values", "verify_connection"):
        arguments[name] = ()
    for name in ("contains", "delete", "get"):
        arguments[name] = ("k",)
    for name, given in arguments.items():
        yield getattr(store, name), given
    yield store.update, ({"k": b""},)
    yield store.update, ("k", lambda old: b"")
    public = {name for name in vars(mapstore.Store) if not name.startswith("_")}
    assert public == {*arguments, "update", "close", "name", "namespace"}


def test_every_method_takes_its_own_timeout_and_token(store: mapstore.Store) -> None:
    token = mapstore.CancelToken()
    token.cancel()
    for call, arguments in calls(store):
        store["k"] = b"1"
        with contextlib.suppress(mapstore.ConflictError):
            call(*arguments, timeout=30, cancel=mapstore.CancelToken())
        with pytest.raises(mapstore.InvalidArgumentError, match="timeout"):
            call(*arguments, timeout=0)
        with pytest.raises(mapstore.CancelledError):
            call(*arguments, cancel=token)


def test_a_subclass_has_its_own_init_and_enters_as_itself(mapstore_server: Any) -> None:
    class Settings(mapstore.Store):
        def __init__(self, prefix: str) -> None:
            super().__init__("manners", kubeconfig=mapstore_server.kubeconfig)
            self.prefix = prefix

    with Settings("p") as own:
        assert isinstance(own, Settings) and own.prefix == "p"
        own["k"] = b"1"
        assert own["k"] == b"1"


def test_every_public_name_has_a_docstring_and_a_signature() -> None:
    found = 0
    for name in mapstore.__all__:
        public = getattr(mapstore, name)
        if isinstance(public, (str, int)):
            continue
        assert public.__module__ == "mapstore" and (public.__doc__ or "").strip(), name
        if not inspect.isclass(public):
            continue
        members = [member for member in dir(public) if not member.startswith("_")]
        own = [member for member in members if not hasattr(tuple, member) and not hasattr(Exception, member)]
        for member in own:
            value = inspect.getattr_static(public, member)
            if callable(value) or isinstance(value, property):
                assert (getattr(public, member).__doc__ or "").strip(), f"{name}.{member}"
            if callable(value):
                assert inspect.signature(value), f"{name}.{member}"
                found += 1
    assert found > 30
    assert "namespace" in inspect.signature(mapstore.Store).parameters
    for callable_ in (mapstore.open, mapstore.verify_connection):
        inspect.signature(callable_)
    # Python 3.9 doesn't look for the signature of a type that an extension makes.
    if sys.version_info >= (3, 10):
        for type_ in (mapstore.Batch, mapstore.CancelToken):
            inspect.signature(type_)
