"""The basics: a value, a counter that every replica increments, all of it at once."""

import mapstore

with mapstore.open("my-settings") as store:
    store["colour"] = b"blue"
    store.update("visits", lambda old: str(int(old or 0) + 1).encode())
    print("colour:", store["colour"].decode())
    for key, value in store.items():
        print(key, "=", value.decode())
    store.apply(mapstore.Batch().if_present("colour").delete("colour").set("previous", b"blue"))
    print("left:", ", ".join(store))
