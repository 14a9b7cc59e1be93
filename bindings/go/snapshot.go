package mapstore

// #include "bridge.h"
import "C"

import (
	"context"
	"iter"
	"maps"
	"unsafe"
)

// Snapshot is the whole map at one revision: a copy of its own.
type Snapshot struct {
	revision string
	keys     []string
	values   map[string][]byte
}

// Snapshot reads the whole map; one that doesn't exist is empty.
func (s *Store) Snapshot(ctx context.Context) (snapshot *Snapshot, err error) {
	err = s.read(ctx, "snapshot", func(store *C.mapstore_store_t, c *C.mapstore_call_t) error {
		r := C.go_snapshot(store, c)
		if r.handle != nil {
			taken := (*C.mapstore_snapshot_t)(r.handle)
			defer C.mapstore_snapshot_free(taken)
			snapshot = snapshotFrom(taken)
		}
		return take(r.code, r.error)
	})
	return snapshot, err
}

func snapshotFrom(taken *C.mapstore_snapshot_t) *Snapshot {
	length := C.mapstore_snapshot_len(taken)
	snapshot := &Snapshot{
		revision: C.GoString(C.mapstore_snapshot_revision(taken)),
		keys:     make([]string, 0, int(length)),
		values:   make(map[string][]byte, int(length)),
	}
	for index := C.size_t(0); index < length; index++ {
		var keyLength, valueLength C.size_t
		key := textFrom(C.mapstore_snapshot_key_at(taken, index, &keyLength), keyLength)
		value := unsafe.Pointer(C.mapstore_snapshot_value_at(taken, index, &valueLength))
		snapshot.keys = append(snapshot.keys, key)
		snapshot.values[key] = copied(value, valueLength)
	}
	return snapshot
}

// Revision of the map; "" if it doesn't exist.
func (s *Snapshot) Revision() string { return s.revision }

// Len is the number of keys.
func (s *Snapshot) Len() int { return len(s.keys) }

// Keys are sorted.
func (s *Snapshot) Keys() []string { return append([]string(nil), s.keys...) }

// Get gives the value, and whether the key is there. The bytes are the snapshot's: don't write to them.
func (s *Snapshot) Get(key string) (value []byte, present bool) {
	value, present = s.values[key]
	return value, present
}

// All ranges over keys and values, sorted by key. The bytes are the snapshot's: don't write to them.
func (s *Snapshot) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, key := range s.keys {
			if !yield(key, s.values[key]) {
				return
			}
		}
	}
}

// Map gives keys and values as a map of the caller's own; the bytes are shared.
func (s *Snapshot) Map() map[string][]byte { return maps.Clone(s.values) }
