package mapstore

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"time"
)

// instruction is an error that says what to do.
type instruction string

func (i instruction) Error() string { return "mapstore: " + string(i) }

// What the function of an [Store.Update] returns as its error instead of a
// value to store. Update itself never returns them.
var (
	// Delete deletes the key.
	Delete error = instruction("delete the key")
	// Keep leaves everything as it is, and ends the update.
	Keep error = instruction("keep the key as it is")
)

// Update replaces a value by what change makes of it, whoever else writes:
// change is called again if somebody was faster. With the error [Delete] it
// deletes the key, with [Keep] it ends the update without a write (and without
// a revision); any other error ends the update and is returned, and nothing is
// written. A nil value is an empty one, as in [Store.Set]. Without a deadline of
// ctx the store's timeout counts for all of it. It stops at [ErrOutcomeUnknown]:
// the change may have been made.
func (s *Store) Update(
	ctx context.Context, key string, change func(old []byte, present bool) (value []byte, err error),
) (Written, error) {
	started := time.Now()
	update, err := s.beginUpdate(ctx, key)
	if err != nil {
		s.logFailure(ctx, "update", err)
		return Written{}, err
	}
	defer update.free()
	for {
		// Nothing is held meanwhile: change may use the store.
		value, err := change(update.value())
		data, size := bytesOf(value)
		switch {
		case errors.Is(err, Keep):
			return Written{}, nil
		case errors.Is(err, Delete):
			data, size = nil, C.MAPSTORE_ABSENT
		case err != nil:
			return Written{}, err
		}
		written, done, err := update.commit(data, size)
		if err != nil {
			s.logFailure(ctx, "update", err)
			return Written{}, err
		}
		if done {
			s.logWrite(ctx, "update", written, time.Since(started))
			return written, nil
		}
	}
}

// updating is an update under way.
type updating struct {
	store   *Store
	allowed allowance
	handle  *C.mapstore_update_t
	free    func()
}

func (s *Store) beginUpdate(ctx context.Context, key string) (*updating, error) {
	u := &updating{store: s, allowed: allow(ctx, s.timeout)}
	return u, s.holding(func(store *C.mapstore_store_t) error {
		if _, err := u.allowed.enter(s.closing); err != nil {
			return u.allowed.explained(err)
		}
		defer leave()
		settings, release, err := u.allowed.settings()
		if err != nil {
			return err
		}
		text, length := textOf(key)
		r := C.go_update_begin(store, settings, text, length)
		if err := take(r.code, r.error); err != nil {
			release()
			return u.allowed.explained(err)
		}
		u.handle = (*C.mapstore_update_t)(r.handle)
		// The settings' context goes on cancelling until the update is over.
		u.free = func() { C.mapstore_update_free(u.handle); release() }
		return nil
	})
}

func (u *updating) value() (value []byte, present bool) {
	seen := C.go_update_value(u.handle)
	if seen.flag == 0 {
		return nil, false
	}
	return copied(seen.handle, seen.len), true
}

// commit goes into C even if time is over: the library knows what the update
// has met meanwhile (others that were faster), sends nothing and says so.
func (u *updating) commit(data *C.uchar, size C.size_t) (written Written, done bool, err error) {
	err = u.store.holding(func(*C.mapstore_store_t) error {
		_, err := u.allowed.enter(u.store.closing)
		switch {
		case err == nil:
			defer leave()
		case !errors.Is(err, ErrDeadline):
			return u.allowed.explained(err)
		}
		r := C.go_update_commit(u.handle, data, size)
		written, done = writtenFrom(&r.written), r.done != 0
		return u.allowed.explained(take(r.code, r.error))
	})
	return written, done, err
}
