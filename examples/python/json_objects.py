"""JSON objects in a store: one key each, changed by read-modify-write."""

import json
from typing import Optional

import mapstore


def visit(old: Optional[bytes]) -> bytes:
    user = json.loads(old) if old else {"visits": 0}
    user["visits"] += 1
    return json.dumps(user).encode()


# Text values: `kubectl get configmap users -o yaml` shows them as they are.
with mapstore.open("users", text_values=True) as store:
    store.update("anna", visit)
    store.update("anna", visit)
    print("anna:", json.loads(store["anna"])["visits"], "visits")
