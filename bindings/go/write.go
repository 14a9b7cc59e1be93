package mapstore

// #include "bridge.h"
import "C"

import (
	"context"
	"time"
)

type writing func(*C.mapstore_store_t, *C.mapstore_call_t) C.go_written_t

func (s *Store) write(ctx context.Context, verb string, work writing) (written Written, err error) {
	started := time.Now()
	err = s.do(ctx, verb, func(store *C.mapstore_store_t, c *C.mapstore_call_t) error {
		r := work(store, c)
		written = writtenFrom(&r.written)
		return take(r.code, r.error)
	})
	if err != nil {
		return Written{}, err
	}
	s.logWrite(ctx, verb, written, time.Since(started))
	return written, nil
}

func (s *Store) logWrite(ctx context.Context, verb string, written Written, took time.Duration) {
	if s.log != nil {
		s.log.DebugContext(ctx, "mapstore", "verb", verb, "map", s.name,
			"changed", written.Changed, "revision", written.Revision, "took", took)
	}
}

func writtenFrom(written *C.mapstore_written_t) Written {
	return Written{Revision: C.GoString(&written.revision[0]), Changed: written.changed != 0}
}

// Set stores a value, unless it is stored already. Other keys, and whatever
// else is in the object, stay as they are. nil is an empty value.
func (s *Store) Set(ctx context.Context, key string, value []byte) (Written, error) {
	return s.set(ctx, "set", key, value, 0)
}

// ForceSet stores a value in a new revision, even if it is stored already.
func (s *Store) ForceSet(ctx context.Context, key string, value []byte) (Written, error) {
	return s.set(ctx, "force_set", key, value, 1)
}

func (s *Store) set(ctx context.Context, verb, key string, value []byte, force C.int) (Written, error) {
	return s.write(ctx, verb, func(store *C.mapstore_store_t, c *C.mapstore_call_t) C.go_written_t {
		text, length := textOf(key)
		data, size := bytesOf(value)
		return C.go_set(store, c, text, length, data, size, force)
	})
}

// Delete removes a key. A missing one is fine.
func (s *Store) Delete(ctx context.Context, key string) (Written, error) {
	return s.write(ctx, "delete", func(store *C.mapstore_store_t, c *C.mapstore_call_t) C.go_written_t {
		text, length := textOf(key)
		return C.go_delete(store, c, text, length)
	})
}

// Truncate removes every key, other writers' too, in one write. The ConfigMap stays.
func (s *Store) Truncate(ctx context.Context) (Written, error) {
	return s.write(ctx, "truncate", func(store *C.mapstore_store_t, c *C.mapstore_call_t) C.go_written_t {
		return C.go_truncate(store, c)
	})
}

// CompareAndSet stores value if the key has exactly the value expected;
// otherwise [ErrConflict], and nothing is written. A nil expected stands for a
// missing key, as [Store.Get] gives nil for one; a nil value is an empty value,
// as in [Store.Set].
func (s *Store) CompareAndSet(ctx context.Context, key string, expected, value []byte) (Written, error) {
	data, size := bytesOf(value)
	return s.compareAnd(ctx, key, expected, data, size)
}

// CompareAndDelete deletes the key if it has exactly the value expected;
// otherwise [ErrConflict], and nothing is written. A nil expected stands for a
// missing key: there is nothing to delete then.
func (s *Store) CompareAndDelete(ctx context.Context, key string, expected []byte) (Written, error) {
	return s.compareAnd(ctx, key, expected, nil, C.MAPSTORE_ABSENT)
}

func (s *Store) compareAnd(
	ctx context.Context, key string, expected []byte, data *C.uchar, size C.size_t,
) (Written, error) {
	return s.write(ctx, "compare_and_set", func(store *C.mapstore_store_t, c *C.mapstore_call_t) C.go_written_t {
		text, length := textOf(key)
		old, oldSize := optional(expected)
		return C.go_compare_and_set(store, c, text, length, old, oldSize, data, size)
	})
}
