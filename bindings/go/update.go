package mapstore

// #include "bridge.h"
import "C"

import (
	"context"
	"time"
)

// Update replaces a value by what change makes of it, whoever else writes:
// change is called again if somebody was faster. A nil result deletes the key;
// an error of change ends the update, and nothing is written. Without a
// deadline of ctx the store's timeout counts for all of it. It stops at
// [ErrOutcomeUnknown]: the change may have been made.
func (s *Store) Update(
	ctx context.Context, key string, change func(old []byte, present bool) (value []byte, err error),
) (Written, error) {
	started := time.Now()
	settings, release, err := settingsOf(ctx)
	if err != nil {
		return Written{}, err
	}
	defer release()
	update, err := s.beginUpdate(ctx, key, settings)
	if err != nil {
		return Written{}, err
	}
	defer C.mapstore_update_free(update)
	for {
		// Nothing is held meanwhile: change may use the store.
		old, present := updateValue(update)
		value, err := change(old, present)
		if err != nil {
			return Written{}, err
		}
		written, done, err := s.commit(ctx, update, value)
		if err != nil {
			return Written{}, err
		}
		if done {
			s.logWrite(ctx, "update", written, time.Since(started))
			return written, nil
		}
	}
}

func (s *Store) beginUpdate(
	ctx context.Context, key string, settings *C.mapstore_call_t,
) (update *C.mapstore_update_t, err error) {
	err = s.doWith(ctx, "update", func(store *C.mapstore_store_t) error {
		text, length := textOf(key)
		r := C.go_update_begin(store, settings, text, length)
		update = (*C.mapstore_update_t)(r.handle)
		return take(r.code, r.error)
	})
	return update, err
}

func updateValue(update *C.mapstore_update_t) (value []byte, present bool) {
	seen := C.go_update_value(update)
	if seen.flag == 0 {
		return nil, false
	}
	return copied(seen.handle, seen.len), true
}

func (s *Store) commit(
	ctx context.Context, update *C.mapstore_update_t, value []byte,
) (written Written, done bool, err error) {
	err = s.doWith(ctx, "update", func(*C.mapstore_store_t) error {
		data, size := optional(value)
		r := C.go_update_commit(update, data, size)
		written, done = writtenFrom(&r.written), r.done != 0
		return take(r.code, r.error)
	})
	return written, done, err
}
