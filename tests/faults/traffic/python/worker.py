"""A client process of a history, in Python: see tests/faults/README.md. Nothing is judged here."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from typing import Any, Optional

import mapstore

Call = dict[str, Any]
now = time.monotonic_ns
_out = threading.Lock()


def say(line: dict[str, Any]) -> None:
    text = json.dumps(line)
    with _out:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def to_bytes(text: str) -> bytes:
    return text.encode("latin-1")


def told(value: bytes) -> str:
    text = value.decode("latin-1")
    return text if len(text) <= 64 else f"{text[:64]}~{len(text)}"


class Lateness:
    """How late this process' timers are: what a deadline can't be blamed for."""

    TICK = 0.005

    def __init__(self) -> None:
        self._ticks: deque[tuple[int, int]] = deque(maxlen=4000)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            before = now()
            time.sleep(self.TICK)
            after = now()
            self._ticks.append((after, max(0, after - before - int(self.TICK * 1e9))))

    def since(self, deadline: int) -> int:
        """All of it since a deadline: a machine that is busy makes the work after it late several times."""
        asked = now()
        time.sleep(self.TICK)
        # The tick that is under way may be the late one.
        while not self._ticks or self._ticks[-1][0] <= asked:
            time.sleep(self.TICK)
        return sum(late for at, late in list(self._ticks) if at >= deadline)


class Client:
    def __init__(self, name: str, setup: dict[str, Any], lateness: Lateness) -> None:
        self.name, self.setup, self.lateness = name, setup, lateness
        self.mode = setup["modes"][name]
        self.store: Optional[mapstore.Store] = None
        self.seen: dict[str, Optional[bytes]] = {}
        self.revision: Optional[str] = None

    def run(self, call: Call) -> None:
        time.sleep(call.get("pause_us", 0) / 1e6)
        if (call["verb"] == "open") == (self.store is not None):
            return
        self.fill(call)
        line = dict(call, process=self.setup["process"], language="python", mode=self.mode)
        say({"event": "begin", "start": now(), "call": line})
        start = now()
        try:
            found = self.call(call, line)
            end = now()
            line.update(found, outcome="Ok")
        except mapstore.MapStoreError as error:
            end = now()
            line.update(
                outcome=error.kind, message=str(error), status=error.http_status, retryable=error.retryable
            )
        line.update(start=start, end=end)
        line = dict(line)  # A timer that comes too late has no say any more.
        deadline = min(start + call["timeout_ms"] * 1_000_000, line.get("cancelled", end))
        if end > deadline:
            line["late"] = self.lateness.since(deadline)
        say({"event": "end", "call": line})

    def fill(self, call: Call) -> None:
        """Puts what this client has seen where the script says @. What it hasn't seen can't be a condition."""
        filled = []
        for kind, key, value in call.get("conditions", []):
            if kind == "equals" and value == "@":
                if key not in self.seen:
                    continue
                seen = self.seen[key]
                filled.append(["absent", key, ""] if seen is None else ["equals", key, seen.decode("latin-1")])
            elif kind == "revision":
                if self.revision is not None:
                    filled.append(["revision", key, self.revision])
            else:
                filled.append([kind, key, value])
        call["conditions"] = filled

    def call(self, call: Call, line: Call) -> dict[str, Any]:
        bounds: dict[str, Any] = {"timeout": call["timeout_ms"] / 1e3}
        if call.get("cancel_ms"):
            bounds["cancel"] = token = mapstore.CancelToken()

            def cancel(line: Call = line) -> None:
                line["cancelled"] = now()
                token.cancel()

            timer = threading.Timer(call["cancel_ms"] / 1e3, cancel)
            timer.daemon = True
            timer.start()
        verb = call["verb"]
        if verb == "open":
            self.store = mapstore.open(
                self.setup["map"],
                kubeconfig=self.setup["kubeconfig"],
                namespace=self.setup["namespace"],
                cache=self.mode,
                write_budget=2**64 - 1,
                timeout=bounds["timeout"],
            )
            return {}
        store = self.store
        assert store is not None
        if verb == "get":
            value = store.get(call["key"], **bounds)
            self.seen[call["key"]] = value
            return {"value": None if value is None else told(value), "present": value is not None}
        if verb == "contains":
            return {"present": store.contains(call["key"], **bounds)}
        if verb == "keys":
            return {"keys": list(store.snapshot(**bounds))}
        if verb == "usage":
            return {"length": store.usage(**bounds).keys}
        if verb == "verify_connection":
            store.verify_connection(**bounds)
            return {}
        if verb == "len":
            return {"length": store.len(**bounds)}
        if verb == "snapshot":
            snapshot = store.snapshot(**bounds)
            self.revision = snapshot.revision
            return {
                "revision": snapshot.revision,
                "snapshot": {key: told(snapshot[key]) for key in snapshot},
            }
        if verb == "refresh":
            store.refresh(**bounds)
            return {}
        written = self.update(store, call, line, bounds) if verb == "update" else write(store, call, bounds)
        self.revision = written.revision
        for op, key, value in call["ops"]:
            if op in ("set", "force_set") and verb != "update":
                self.seen[key] = to_bytes(value)
            elif op == "delete":
                self.seen[key] = None
        return {"revision": written.revision, "changed": written.changed}

    def update(self, store: mapstore.Store, call: Call, line: Call, bounds: dict[str, Any]) -> mapstore.Written:
        key = call["ops"][0][1]

        def change(old: Optional[bytes]) -> bytes:
            try:
                number = int((old or b"0").split(b" ")[0])
            except ValueError:
                number = 0
            new = f"{number + 1} {call['id']}"
            line["ops"] = [["set", key, new]]
            line["conditions"] = [["absent", key, ""] if old is None else ["equals", key, told(old)]]
            return new.encode()

        written: mapstore.Written = store.update(key, change, **bounds)
        return written


def write(store: mapstore.Store, call: Call, bounds: dict[str, Any]) -> mapstore.Written:
    verb, (first, key, value) = call["verb"], call["ops"][0]
    if verb == "set":
        return store.set(key, to_bytes(value), **bounds)
    if verb == "force_set":
        return store.force_set(key, to_bytes(value), **bounds)
    if verb == "delete":
        return store.delete(key, **bounds)
    if verb == "truncate":
        return store.truncate(**bounds)
    if verb == "compare_and_set" and call["conditions"]:
        condition, _, expected = call["conditions"][0]
        old = to_bytes(expected) if condition == "equals" else None
        return store.compare_and_set(key, old, to_bytes(value) if first == "set" else None, **bounds)
    batch = mapstore.Batch()
    for condition, name, wanted in call["conditions"]:
        if condition == "absent":
            batch.if_absent(name)
        elif condition == "present":
            batch.if_present(name)
        elif condition == "equals":
            batch.if_equals(name, to_bytes(wanted))
        else:
            batch.if_revision(wanted)
    for op, name, new in call["ops"]:
        if op == "set":
            batch.set(name, to_bytes(new))
        elif op == "force_set":
            batch.force_set(name, to_bytes(new))
        elif op == "delete":
            batch.delete(name)
        else:
            batch.truncate()
    return store.apply(batch, **bounds)


def main() -> None:
    setup = json.loads(sys.stdin.readline())
    scripts: dict[str, list[Call]] = {}
    while (line := sys.stdin.readline().strip()) != "run":
        call = json.loads(line)
        call.setdefault("conditions", [])
        call.setdefault("ops", [])
        scripts.setdefault(call["client"], []).append(call)
    lateness = Lateness()
    quiet, go = threading.Barrier(len(scripts) + 1), threading.Barrier(len(scripts) + 1)

    def run(name: str, script: list[Call]) -> None:
        client = Client(name, setup, lateness)
        for call in script:
            if not call.get("quiet"):
                client.run(call)
        quiet.wait()
        go.wait()
        for call in script:
            if call.get("quiet"):
                client.run(call)

    threads = [threading.Thread(target=run, args=each) for each in scripts.items()]
    for thread in threads:
        thread.start()
    quiet.wait()
    say({"event": "quiet"})
    sys.stdin.readline()
    go.wait()
    for thread in threads:
        thread.join()
    say({"event": "done"})


main()
