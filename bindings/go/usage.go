package mapstore

// #include "bridge.h"
import "C"

import "context"

// Usage says how full a store is; sizes are in bytes.
type Usage struct {
	Keys, KeyBytes uint64
	// ValueBytes are those of all values together; Kubernetes allows ValueLimit.
	ValueBytes, ValueLimit uint64
	// What keys and values take in the stored object; etcd allows about ObjectLimit.
	ObjectBytes, ObjectLimit uint64
	// What this process has had stored in the last five minutes, over all maps, and what this store allows in five
	// minutes in the long run.
	BudgetUsed, BudgetLimit uint64
}

// Usage says how full the store is.
func (s *Store) Usage(ctx context.Context) (usage Usage, err error) {
	err = s.read(ctx, "usage", func(store *C.mapstore_store_t, c *C.mapstore_call_t) error {
		r := C.go_usage(store, c)
		if r.code != C.MAPSTORE_OK {
			return take(r.code, r.error)
		}
		u := r.usage
		usage = Usage{
			Keys: uint64(u.keys), KeyBytes: uint64(u.key_bytes),
			ValueBytes: uint64(u.value_bytes), ValueLimit: uint64(u.value_limit),
			ObjectBytes: uint64(u.object_bytes), ObjectLimit: uint64(u.object_limit),
			BudgetUsed: uint64(u.budget_used), BudgetLimit: uint64(u.budget_limit),
		}
		return nil
	})
	return usage, err
}
