// Package mapstore is a key/value store over one Kubernetes ConfigMap: safe
// with any number of writers, cached or not, guarded at Kubernetes' limits.
//
// [New] and [Manager] are a drop-in for github.com/unrolled/mapstore. [Open]
// and [Store] are the whole of it: a context on every call, batches with
// conditions, read-modify-write. docs/go.md in the project's sources tells how
// to link, what errors are, and each difference from the original.
//
// The work is done by the C library libmapstore, which has to be installed
// (make install in the mapstore sources) where pkg-config finds it, for example
// with PKG_CONFIG_PATH=/usr/local/lib/pkgconfig. With the build tag
// mapstore_static it becomes part of the program.
//
// A call that asks the API server holds an OS thread until it has its answer;
// at most 256 of them do so at once, further ones wait in Go. A call whose
// context ends, in whatever way, ends within 100 ms; it says whether a write had
// been sent. A nil value is an empty value; deleting is always said. What is promised beyond that is in the project's docs/contract.md.
package mapstore
