package mapstore

// #include "bridge.h"
import "C"

import (
	"context"
	"slices"
)

// Batch is several changes that are made together or not at all, in one
// revision, and only if all its conditions hold: see [Store.Apply]. Operations
// count in their order; conditions are about the map before the batch. Not to
// be changed while another goroutine uses it.
type Batch struct{ steps []step }

type step struct {
	kind  C.int
	key   string
	value []byte
}

// NewBatch has nothing to do and nothing to check.
func NewBatch() *Batch { return &Batch{} }

func (b *Batch) add(kind C.int, key string, value []byte) *Batch {
	b.steps = append(b.steps, step{kind, key, slices.Clone(value)})
	return b
}

// Set stores a value, unless it is stored already.
func (b *Batch) Set(key string, value []byte) *Batch { return b.add(C.GO_SET, key, value) }

// ForceSet stores a value; the batch then makes a new revision in any case.
func (b *Batch) ForceSet(key string, value []byte) *Batch { return b.add(C.GO_FORCE_SET, key, value) }

// Delete removes a key. A missing one is fine.
func (b *Batch) Delete(key string) *Batch { return b.add(C.GO_DELETE, key, nil) }

// Truncate removes every key, those set earlier in this batch included.
func (b *Batch) Truncate() *Batch { return b.add(C.GO_TRUNCATE, "", nil) }

// IfAbsent: only if there is no such key.
func (b *Batch) IfAbsent(key string) *Batch { return b.add(C.GO_IF_ABSENT, key, nil) }

// IfPresent: only if there is such a key.
func (b *Batch) IfPresent(key string) *Batch { return b.add(C.GO_IF_PRESENT, key, nil) }

// IfEquals: only if the key has exactly this value.
func (b *Batch) IfEquals(key string, value []byte) *Batch { return b.add(C.GO_IF_EQUALS, key, value) }

// IfRevision: only if the map is at this revision.
func (b *Batch) IfRevision(revision string) *Batch { return b.add(C.GO_IF_REVISION, revision, nil) }

// toC makes the library's batch, to be freed, or says which argument it refuses.
func (b *Batch) toC() (*C.mapstore_batch_t, error) {
	batch := C.mapstore_batch_new()
	for _, step := range b.steps {
		text, length := textOf(step.key)
		data, size := bytesOf(step.value)
		r := C.go_batch_add(batch, step.kind, text, length, data, size)
		if err := take(r.code, r.error); err != nil {
			C.mapstore_batch_free(batch)
			return nil, err
		}
	}
	return batch, nil
}

// Apply makes all changes of a batch in one revision, or none of them. A
// condition that doesn't hold is [ErrConflict]; its message says which one.
func (s *Store) Apply(ctx context.Context, batch *Batch) (Written, error) {
	made, err := batch.toC()
	if err != nil {
		return Written{}, err
	}
	defer C.mapstore_batch_free(made)
	return s.write(ctx, "apply", func(store *C.mapstore_store_t, c *C.mapstore_call_t) C.go_written_t {
		return C.go_apply(store, c, made)
	})
}
