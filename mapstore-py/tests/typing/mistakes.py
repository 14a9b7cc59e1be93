"""Never run: mypy and pyright have to find a mistake in each line that says so, and none elsewhere."""

import array
import mmap
from typing import Optional, Union

import mapstore


class Settings(mapstore.Store):
    def __init__(self, prefix: str) -> None:
        super().__init__("settings")
        self.prefix = prefix


def shrink(old: Optional[bytes]) -> Union[bytes, mapstore.Delete]:
    return old[1:] if old else mapstore.DELETE


def forgets(old: Optional[bytes]) -> None:
    print(old)


with mapstore.open("x", cache="exclusive") as store:
    for value in (b"", bytearray(b""), memoryview(b""), array.array("B"), mmap.mmap(-1, 1)):
        store["k"] = value
        store.set("k", value, timeout=1.0)
    store.update({"k": b""}, other=b"")
    store.update([("k", bytearray(b""))], timeout=1.0)
    store.update(store)
    store.update(more=b"")
    written: mapstore.Written = store.update("k", shrink)
    found: Optional[bytes] = store.get("k")
    sure: bytes = store.get("k", b"")
    either: Union[bytes, int] = store.get("k", 5)
    gone: bytes = store.pop("k")
    merged: dict[str, bytes] = store | {"k": b""}
    store |= {"k": b""}
    plain: dict[str, bytes] = store.copy()
    kept: mapstore.Snapshot = store.snapshot()
with Settings("p") as settings:
    prefix: str = settings.prefix

mapstore.open("x", cache="exclsive")  # mistake
mapstore.Store("x", cache="watch")  # mistake
store["k"] = "text"  # mistake
store.set("k", 5)  # mistake
store.force_set("k", "text")  # mistake
store.update({"k": "text"})  # mistake
store.update("n", lambda old: old + 1)  # mistake
store.update("n", forgets)  # mistake
store.update("n", b"1")  # mistake
store.update(k="text")  # mistake
mapstore.Batch().set("a", "text")  # mistake
mapstore.Batch().if_equals("a", 1)  # mistake
store.compare_and_set("a", "x", "y")  # mistake
store.setdefault("k", None)  # mistake
store.set("k", b"", timeout="1")  # mistake
store.get(b"k")  # mistake
