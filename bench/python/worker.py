"""worker.py KUBECONFIG NAMESPACE NAME none|exclusive THREADS SECONDS ID"""

import sys

from measure import measure

import mapstore

kubeconfig, namespace, name, cache, threads, seconds, own = sys.argv[1:]
with mapstore.open(
    name, kubeconfig=kubeconfig, namespace=namespace, cache=cache, write_budget=2**64 - 1
) as store:
    measure(store.set, int(threads), float(seconds), own)
