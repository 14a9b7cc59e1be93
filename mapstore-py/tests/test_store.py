"""The store as Python sees it, on a mapstore-dev."""

from __future__ import annotations

import array
import copy
import gc
import logging
import multiprocessing
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mapstore
from counting import CountingProxy
from mapstore.testing import DevServer


@pytest.fixture(params=["none", "exclusive"])
def store(request: pytest.FixtureRequest, mapstore_server: DevServer) -> Iterator[mapstore.Store]:
    with mapstore_server.open("t", cache=request.param) as store:
        store.clear()
        yield store


def test_a_mapping(store: mapstore.Store) -> None:
    assert not list(store) and len(store) == 0 and bool(store)
    store["b"] = b"2"
    store["a"] = b"\xff"
    assert store["a"] == b"\xff" and store.get("x") is None and store.get("x", b"d") == b"d"
    assert list(store) == ["a", "b"] == list(store.keys())
    assert store == {"a": b"\xff", "b": b"2"} and store != {"a": b"1"} and store != 5
    assert dict(store) == {**store} == dict(store.items())
    assert "a" in store and "x" not in store and 5 not in store
    assert sorted(store.values()) == [b"2", b"\xff"]
    del store["a"]
    with pytest.raises(KeyError) as missing:
        store["a"]
    assert isinstance(missing.value, mapstore.KeyNotFoundError) and "no such key" in str(missing.value)
    with pytest.raises(KeyError):
        del store["a"]
    assert store.pop("b") == b"2" and store.pop("b", b"d") == b"d"
    with pytest.raises(KeyError):
        store.pop("b")
    with pytest.raises(KeyError):
        store.popitem()
    assert store.setdefault("s", b"1") == b"1" == store.setdefault("s", b"2")
    store.update({"u": b"1"}, v=b"2")
    store.update([("w", b"3")])
    assert store.popitem() == ("s", b"1")
    assert list(store) == ["u", "v", "w"]
    store.clear()
    assert store == {}


def test_what_writes_say(store: mapstore.Store) -> None:
    first = store.set("k", b"1")
    assert first.changed and first.revision == store.snapshot().revision
    assert store.set("k", b"1") == (first.revision, False)
    assert store.force_set("k", b"1").changed
    assert not store.delete("missing").changed
    assert store.usage().keys == 1 and store.usage().budget_limit == 128 << 20


def test_batches_and_swaps(store: mapstore.Store) -> None:
    batch = mapstore.Batch().if_absent("lock").set("lock", b"me").set("x", b"").delete("x")
    store.apply(batch)
    with pytest.raises(mapstore.ConflictError) as refused:
        store.apply(batch)
    assert "lock" in refused.value.subject and not refused.value.retryable
    store.compare_and_set("lock", b"me", b"you")
    with pytest.raises(mapstore.ConflictError):
        store.compare_and_set("lock", b"me", None)
    store.compare_and_set("lock", b"you", None)
    assert store == {}


def test_updates_from_many_threads(store: mapstore.Store) -> None:
    def work() -> None:
        for _ in range(10):
            store.update("n", lambda old: b"%d" % (int(old or 0) + 1))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store["n"] == b"80"
    with pytest.raises(ZeroDivisionError):
        store.update("n", lambda old: 1 // 0)  # type: ignore[arg-type, return-value]
    assert store["n"] == b"80"


def test_bytes_like_in_and_bytes_out(store: mapstore.Store) -> None:
    for value in (bytearray(b"abc"), memoryview(b"abc"), memoryview(b"a-b-c")[::2], array.array("B", b"abc")):
        store["k"] = value
        assert store["k"] == b"abc" and type(store["k"]) is bytes
    with pytest.raises(TypeError, match="encode"):
        store["k"] = "text"
    with pytest.raises(TypeError, match="int"):
        store["k"] = 5


def test_errors_say_all(store: mapstore.Store) -> None:
    with pytest.raises(mapstore.InvalidArgumentError, match="a/b"):
        store["a/b"] = b""
    with pytest.raises(mapstore.TooLargeError) as large:
        store["k"] = bytes(2**20 + 1)
    assert (large.value.used, large.value.limit, large.value.code) == (2**20 + 1, 2**20, 2)
    for timeout in (0, -1, float("nan"), float("inf"), 1e300):
        with pytest.raises(mapstore.InvalidArgumentError, match="timeout"):
            store.set("k", b"", timeout=timeout)


def test_no_value_is_shown(store: mapstore.Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mapstore")
    store["k"] = b"secret"
    shown = [repr(store), repr(store.snapshot()), repr(mapstore.Batch().set("k", b"secret")), caplog.text]
    assert "secret" not in "".join(shown) and "set: changed=True" in caplog.text


def test_neither_pickled_nor_copied(store: mapstore.Store) -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="Open another"):
            attempt(store)


@pytest.mark.parametrize("keys", [3, 200])
def test_requests_do_not_depend_on_the_number_of_keys(
    mapstore_server: DevServer, tmp_path: Path, keys: int
) -> None:
    proxy = CountingProxy(mapstore_server.kubeconfig, tmp_path / "kubeconfig")
    store = mapstore.open("counted", kubeconfig=proxy.kubeconfig)
    wanted = {f"k{number}": b"v" for number in range(keys)}
    store.clear()
    store.update(wanted)

    def requests(work: Any) -> int:
        proxy.requests.clear()
        work()
        return len(proxy.requests)

    counts = {
        "dict": requests(lambda: dict(store)),
        "**": requests(lambda: {**store}),
        "items": requests(lambda: list(store.items())),
        "values": requests(lambda: list(store.values())),
        "keys": requests(lambda: list(store.keys())),
        "iter": requests(lambda: list(store)),
        "==": requests(lambda: store == wanted),
        "update": requests(lambda: store.update(dict.fromkeys(wanted, b"w"))),
        "pop": requests(lambda: store.pop("k0")),
        "setdefault": requests(lambda: store.setdefault("k0", b"x")),
        "clear": requests(lambda: store.clear()),
    }
    print(keys, "keys:", counts)
    # Python 3.9's list() asks for the length twice.
    in_list = counts.pop("iter")
    assert in_list <= (3 if sys.version_info < (3, 10) else 2), in_list
    assert all(1 <= count <= 2 for count in counts.values()), counts
    proxy.stop()


def test_dict_gives_one_snapshot_and_a_read_afterwards_a_new_one(store: mapstore.Store) -> None:
    store.update({"a": b"1", "b": b"2"})
    keys = store.keys()
    for key in keys:
        store[key] = b"new"
        assert store[key] == b"new"
    call = lambda f, *a: f(*a)
    listed = list(call(store.keys))
    store.set("a", b"newer")
    assert call(store.__getitem__, listed[0]) == b"newer"
    assert not store._serving
    assert call(dict, store) == {"a": b"newer", "b": b"new"}


HOLE = """
import os, signal, sys, threading, time
import mapstore
store = mapstore.open("hole", kubeconfig=sys.argv[1], timeout=30)
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", time.monotonic(), flush=True)
"""


@pytest.mark.parametrize(
    "call", ["store['k']", "store.set('k', b'')", "store.update('k', lambda old: b'')", "dict(store)"]
)
def test_ctrl_c_in_a_black_hole(call: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            '{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":'
            '{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}],"clusters":[{"name":"c","cluster":'
            f'{{"server":"http://127.0.0.1:{hole.getsockname()[1]}"}}}}]}}'
        )
        script = textwrap.dedent(HOLE).format(call=call)
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(kubeconfig)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        connection, _ = hole.accept()
        time.sleep(0.1)
        sent = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        said, at = process.stdout.readline().split()
        assert said == "interrupted" and float(at) - sent < 0.1 + 0.1, float(at) - sent
        assert process.wait(10) == 0
        process.stdout.close()
        connection.close()


def test_a_token_cancels_a_call(tmp_path: Path, mapstore_server: DevServer) -> None:
    token = mapstore.CancelToken()
    store = mapstore_server.open("t")
    store.set("k", b"1", cancel=token)
    token.cancel()
    with pytest.raises(mapstore.CancelledError):
        store.set("k", b"2", cancel=token)
    assert token.cancelled and store["k"] == b"1"


def test_close(mapstore_server: DevServer) -> None:
    with mapstore_server.open("t") as store:
        pass
    with pytest.raises(mapstore.ClosedError):
        store["k"]
    store.close()


def test_a_forked_child_opens_again(mapstore_server: DevServer) -> None:
    store = mapstore_server.open("forked")
    store["k"] = b"1"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            try:
                store["k"]
            except mapstore.ForkedError:
                with mapstore_server.open("forked") as own:
                    status = 0 if own["k"] == b"1" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store["k"] == b"1"


def _in_a_worker(kubeconfig: str) -> bytes:
    with mapstore.open("forked", kubeconfig=kubeconfig) as store:
        return store["k"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(mapstore_server: DevServer, method: str) -> None:
    with mapstore_server.open("forked") as store:
        store["k"] = b"1"
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_in_a_worker, [mapstore_server.kubeconfig] * 4) == [b"1"] * 4


def test_a_million_gets_leave_everything_where_it_was(mapstore_server: DevServer) -> None:
    with mapstore_server.open("t", cache="exclusive") as store:
        store["k"] = bytes(100)
        sentinel = store["k"]

        def get(times: int) -> None:
            for _ in range(times):
                store["k"]
                store.get("missing")

        def memory() -> int:
            gc.collect()
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        get(100_000)
        before, references, objects = memory(), sys.getrefcount(sentinel), len(gc.get_objects())
        get(1_000_000)
        after = memory()
        print(f"{before} kB before, {after} kB after")
        assert after - before < 2048
        assert sys.getrefcount(sentinel) == references
        assert abs(len(gc.get_objects()) - objects) < 100


def test_a_subinterpreter_is_refused() -> None:
    interpreters: Any = pytest.importorskip("_xxsubinterpreters") if sys.version_info < (3, 13) else None
    if interpreters is None:
        import _interpreters as interpreters  # type: ignore[import-not-found, no-redef]
    other = interpreters.create()
    script = "try:\n import mapstore\nexcept ImportError: pass\nelse: raise SystemExit('it was imported')"
    failed = interpreters.run_string(other, script)
    assert failed is None
    interpreters.destroy(other)
