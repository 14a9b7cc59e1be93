"""The process that mapstore lives in: signals, threads, forks, its end, a second import."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
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
from mapstore.testing import DevServer

#: How many times a program with busy daemon threads is ended; more by hand: EXITS=200.
EXITS = int(os.environ.get("EXITS", "5"))


class Hole:
    """A server that accepts and says nothing."""

    def __init__(self, folder: Path) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "c", "cluster": {"server": server}}],
        }
        self.kubeconfig = str(folder / "hole")
        Path(self.kubeconfig).write_text(json.dumps(config))


@pytest.fixture
def hole(tmp_path: Path) -> Iterator[Hole]:
    hole = Hole(tmp_path)
    with hole.socket:
        yield hole


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


INTERRUPTED = """
import signal, sys, time
import mapstore
# Where this was started with SIGINT ignored, Python has no handler of its own.
signal.signal(signal.SIGINT, signal.default_int_handler)
store = mapstore.open("hole", kubeconfig=sys.argv[1], timeout=30)
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt as interrupt:
    cause = interrupt.__context__
    print("interrupted", time.monotonic(), type(cause).__name__, flush=True)
"""


@pytest.mark.parametrize(
    "call",
    [
        "store['k']",
        "store.set('k', b'')",
        "store.update('k', lambda old: b'')",
        "dict(store)",
        "store.popitem()",
    ],
)
def test_ctrl_c_in_a_black_hole(call: str, hole: Hole) -> None:
    script = textwrap.dedent(INTERRUPTED).format(call=call)
    process = subprocess.Popen(
        [sys.executable, "-c", script, hole.kubeconfig], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    connection, _ = hole.socket.accept()
    time.sleep(0.1)
    sent = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    said, at, cause = process.stdout.readline().split()
    assert said == "interrupted" and cause == "CancelledError"
    assert float(at) - sent < 0.1 + 0.1, float(at) - sent
    assert process.wait(10) == 0
    process.stdout.close()
    connection.close()


def test_a_signal_handler_may_use_the_store_during_a_call(mapstore_server: DevServer, hole: Hole) -> None:
    store, silent = mapstore_server.open("t"), mapstore.open("t", kubeconfig=hole.kubeconfig)
    store["k"] = b"1"
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(store["k"]))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with contextlib.suppress(mapstore.DeadlineError):
        silent.get("k", timeout=0.6)
    signal.signal(signal.SIGALRM, before)
    assert seen == [b"1"]


def test_a_call_on_the_main_thread_starts_no_thread(hole: Hole) -> None:
    store = mapstore.open("t", kubeconfig=hole.kubeconfig)
    seen: set[str] = set()

    def look() -> None:
        time.sleep(0.3)
        for task in Path("/proc/self/task").iterdir():
            if int(task.name) not in (os.getpid(), threading.get_native_id()):
                seen.add((task / "comm").read_text().strip())

    known = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}
    onlooker = threading.Thread(target=look)
    onlooker.start()
    with pytest.raises(mapstore.DeadlineError):
        store.get("k", timeout=0.6)
    onlooker.join()
    assert {name for name in seen if not name.startswith("mapstore-")} <= known - {"mapstore-io"}


def test_without_threads_to_be_had_a_call_works_or_is_an_exception(mapstore_server: DevServer) -> None:
    done = run(
        """
        import os, resource, sys, mapstore
        store = mapstore.open("x", kubeconfig=sys.argv[1])
        store["k"] = b"1"
        if os.getuid() == 0:
            os.setgroups([])
            os.setresuid(54321, 54321, 54321)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        try:
            print(store["k"])
            mapstore.open("y", kubeconfig="/nowhere/at/all")
        except Exception as error:
            print(type(error).__name__)
        """,
        mapstore_server.kubeconfig,
    )
    assert done.stdout == "b'1'\nConfigError\n" and not done.stderr, done


def test_a_token_cancelled_before_the_write_is_sent_stops_it(mapstore_server: DevServer) -> None:
    store = mapstore_server.open("tokens")

    def attempt() -> None:
        store.delete("k")
        token = mapstore.CancelToken()

        def change(_: Any) -> bytes:
            token.cancel()
            return b"written"

        with pytest.raises(mapstore.CancelledError, match="nothing was written"):
            store.update("k", change, cancel=token)
        assert store.get("k") is None

    failed: list[BaseException] = []

    def in_a_thread() -> None:
        try:
            attempt()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert not failed
    attempt()


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


def test_a_forked_child_leaves_what_its_parent_opened(mapstore_server: DevServer) -> None:
    done = run(
        """
        import atexit, os, sys, mapstore
        kept = mapstore.open("y", kubeconfig=sys.argv[1])
        atexit.register(kept.close)
        with mapstore.open("x", kubeconfig=sys.argv[1]) as store:
            store["k"] = b"1"
            child = os.fork()
            if child == 0:
                sys.exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), store["k"], flush=True)
        """,
        mapstore_server.kubeconfig,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 b'1'\n", ""), done


def _in_a_worker(kubeconfig: str) -> bytes:
    with mapstore.open("forked", kubeconfig=kubeconfig) as store:
        return store["k"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(mapstore_server: DevServer, method: str) -> None:
    with mapstore_server.open("forked") as store:
        store["k"] = b"1"
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_in_a_worker, [mapstore_server.kubeconfig] * 4) == [b"1"] * 4


def test_a_forked_child_neither_holds_nor_stops_the_server() -> None:
    server = DevServer()
    server.open("t")["k"] = b"1"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # As at the end of a child that leaves a `with` by sys.exit().
        server.stop()
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    time.sleep(0.2)
    assert server.open("t")["k"] == b"1" and Path(server.kubeconfig).exists()
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 3
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0


ENDING = """
import sys, threading, time, mapstore
store = mapstore.open("x", kubeconfig=sys.argv[1], timeout=0.5)
cached = mapstore.open("c", kubeconfig=sys.argv[1], cache="exclusive")
silent = mapstore.open("x", kubeconfig=sys.argv[2], timeout=0.3)

def again(call):
    while True:
        try:
            call()
        except mapstore.MapStoreError:
            pass

for call in (
    lambda: store.get("k"),
    lambda: store["missing"],
    lambda: store.items(),
    lambda: store.set("k", b"1"),
    lambda: store.update("n", lambda old: b"1"),
    lambda: cached["missing"],
    lambda: silent.get("k"),
    lambda: silent.set("k", b""),
):
    threading.Thread(target=again, args=(call,), daemon=True).start()
time.sleep(float(sys.argv[3]))
"""


def test_a_program_ends_while_daemon_threads_are_in_calls(mapstore_server: DevServer, hole: Hole) -> None:
    for attempt in range(EXITS):
        done = run(ENDING, mapstore_server.kubeconfig, hole.kubeconfig, str(0.05 + attempt % 10 * 0.02))
        assert (done.returncode, done.stderr) == (0, ""), done


def test_whoever_imported_mapstore_catches_its_errors() -> None:
    done = run(
        """
        import importlib, sys
        from unittest import mock
        import mapstore as before
        with mock.patch.dict(sys.modules):
            for name in [name for name in sys.modules if name.startswith("mapstore")]:
                del sys.modules[name]
            import mapstore as within
        for name in [name for name in sys.modules if name.startswith("mapstore")]:
            del sys.modules[name]
        import mapstore as after
        importlib.reload(after)
        importlib.reload(sys.modules["mapstore._errors"])
        for raising in (before, within, after):
            for catching in (before, within, after):
                try:
                    raising.open("x", kubeconfig="/nowhere/at/all")
                except catching.ConfigError as error:
                    assert isinstance(error, catching.MapStoreError)
                assert catching.KeyNotFoundError is raising.KeyNotFoundError
        print("caught")
        """
    )
    assert done.stdout == "caught\n", done


def test_a_subinterpreter_is_refused() -> None:
    interpreters: Any = pytest.importorskip("_xxsubinterpreters") if sys.version_info < (3, 13) else None
    if interpreters is None:
        import _interpreters as interpreters  # type: ignore[import-not-found, no-redef]
    other = interpreters.create()
    script = "try:\n import mapstore\nexcept ImportError: pass\nelse: raise SystemExit('it was imported')"
    failed = interpreters.run_string(other, script)
    assert failed is None
    interpreters.destroy(other)
