"""The Python runner: the line protocol of tests/conformance over the Python package.

A pure adapter: no defaults, no checks, no retries.
"""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

import mapstore

PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-")

stores: dict[int, mapstore.Store] = {}
tokens: dict[int, mapstore.CancelToken] = {}
# What the next apply applies.
batch = mapstore.Batch()


class Fields:
    def __init__(self, words: list[str]) -> None:
        self.raw = {
            name: unquote_to_bytes(value) for name, _, value in (word.partition("=") for word in words)
        }

    def text(self, name: str) -> str:
        return self.raw[name].decode("utf-8", "surrogateescape")

    def number(self, name: str) -> int:
        return int(self.raw[name])

    def call(self) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        if "timeout_ms" in self.raw:
            settings["timeout"] = self.number("timeout_ms") / 1000
        if "cancel" in self.raw:
            settings["cancel"] = tokens[self.number("cancel")]
        return settings

    def options(self) -> dict[str, Any]:
        options = self.call()
        for name in ("namespace", "context", "cache"):
            if name in self.raw:
                options[name] = self.text(name)
        if "kubeconfig" in self.raw:
            options["kubeconfig"] = os.fsdecode(self.raw["kubeconfig"])
        for name in ("text_values", "binary_only", "strict_lookup"):
            if name in self.raw:
                options[name] = self.raw[name] == b"1"
        return options


def encode(value: bytes | str | None) -> str:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    return "".join(chr(c) if c in PLAIN else f"%{c:02X}" for c in value or b"")


def wrote(written: mapstore.Written) -> str:
    return f" changed={int(written.changed)} revision={encode(written.revision)}"


def on_store(verb: str, store: mapstore.Store, fields: Fields) -> str:
    call = fields.call()
    key = fields.text("key") if "key" in fields.raw else ""
    if verb == "get":
        value = store.get(key, **call)
        return " absent=1" if value is None else f" value={encode(value)}"
    if verb == "contains":
        return f" present={int(store.contains(key, **call))}"
    if verb == "len":
        return f" len={store.len(**call)}"
    if verb == "keys":
        return " keys=" + ",".join(encode(key) for key in store.snapshot(**call))
    if verb == "snapshot":
        taken = store.snapshot(**call)
        entries = ",".join(f"{encode(key)}:{encode(value)}" for key, value in taken.items())
        return f" revision={encode(taken.revision)} len={len(taken)} entries={entries}"
    if verb == "usage":
        usage = store.usage(**call)._asdict()
        return "".join(f" {name}={usage[name]}" for name in list(usage)[:6])
    if verb in ("set", "force_set"):
        return wrote(getattr(store, verb)(key, fields.raw["value"], **call))
    if verb == "delete":
        return wrote(store.delete(key, **call))
    if verb == "truncate":
        return wrote(store.truncate(**call))
    if verb == "apply":
        return wrote(store.apply(batch, **call))
    if verb == "compare_and_set":
        expected, value = fields.raw.get("expected"), fields.raw.get("value")
        return wrote(store.compare_and_set(key, expected, value, **call))
    if verb == "update":
        more = fields.raw.get("append")
        return wrote(
            store.update(key, lambda old: mapstore.DELETE if more is None else (old or b"") + more, **call)
        )
    if verb == "refresh":
        store.refresh(**call)
        return ""
    if verb == "close":
        store.close()
        return ""
    raise LookupError(f"no such verb: {verb}")


def add(op: str, fields: Fields) -> None:
    global batch
    if op == "new":
        batch = mapstore.Batch()
    elif op == "truncate":
        batch.truncate()
    elif op == "if_revision":
        batch.if_revision(fields.text("revision"))
    elif op in ("set", "force_set", "if_equals"):
        getattr(batch, op)(fields.text("key"), fields.raw["value"])
    else:
        getattr(batch, op)(fields.text("key"))


def run(verb: str, fields: Fields) -> str:
    if verb == "open":
        stores[fields.number("store")] = mapstore.open(fields.text("name"), **fields.options())
    elif verb == "verify_connection":
        options = fields.options()
        options.pop("cache", None)
        mapstore.verify_connection(fields.text("name"), **options)
    elif verb == "cancel_new":
        tokens[fields.number("token")] = mapstore.CancelToken()
    elif verb == "cancel":
        tokens[fields.number("token")].cancel()
    elif verb == "batch":
        add(fields.text("op"), fields)
    elif verb == "free":
        del stores[fields.number("store")]
    else:
        return on_store(verb, stores[fields.number("store")], fields)
    return ""


def answer(line: str) -> str:
    verb, *words = line.rstrip("\n").split(" ")
    try:
        return "ok" + run(verb, Fields(words))
    except mapstore.MapStoreError as e:
        return (
            f"err code={e.code} name={e.kind} status={e.http_status or 0} retryable={int(e.retryable)} "
            f"used={e.used or 0} limit={e.limit or 0} subject={encode(e.subject)} message={encode(str(e))}"
        )


def main() -> None:
    for line in sys.stdin:
        if line == "quit\n":
            return
        print(answer(line), flush=True)


main()
