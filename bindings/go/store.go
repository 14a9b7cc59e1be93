package mapstore

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// #cgo noescape go_get_into
// #cgo nocallback go_get_into
import "C"

// Store is an open handle to one ConfigMap. All methods may be called from any
// number of goroutines, [Store.Close] included.
type Store struct {
	name string
	// inUse is held for reading by every call, and for writing by the call that frees the handle. The
	// program's own functions never run under it.
	inUse   sync.RWMutex
	handle  *C.mapstore_store_t
	timeout time.Duration
	cached  bool
	log     *slog.Logger
	cleanup runtime.Cleanup
	// closing is closed by Close, once: that ends the wait for a slot.
	closing chan struct{}
	close   sync.Once
}

// Written is what a write did.
type Written struct {
	// Revision is the map's resourceVersion that the write made, or was compared
	// at if nothing changed; "" if the map doesn't exist and nothing had to be
	// written. To be compared for equality only.
	Revision string
	// Changed: whether anything was written.
	Changed bool
}

// abiFault is what is wrong with the library that was found when the program
// started: not the one it was built with.
var abiFault = func() error {
	if found := uint32(C.mapstore_abi_version()); found != C.MAPSTORE_ABI_VERSION {
		return failure(KindConfig, "libmapstore", fmt.Sprintf(
			"the program was built for ABI version %d and found version %d (library %s): "+
				"install the library it was built with, or build it again",
			uint32(C.MAPSTORE_ABI_VERSION), found, C.GoString(C.mapstore_version())))
	}
	return nil
}()

// Open opens the store over the ConfigMap name. With [CacheNone] nothing is
// sent; with [CacheExclusive] the map is read once. A map that doesn't exist is
// empty; the first write creates it. ctx bounds the opening only.
func Open(ctx context.Context, name string, options ...Option) (*Store, error) {
	if abiFault != nil {
		return nil, abiFault
	}
	settings := settingsFrom(options)
	defer settings.free()
	if settings.err != nil {
		return nil, settings.err
	}
	store := &Store{
		name: name, timeout: settings.timeout, cached: settings.cached, log: settings.log, closing: make(chan struct{}),
	}
	err := allow(ctx, settings.timeout).call(nil, func(c *C.mapstore_call_t) error {
		text, length := textOf(name)
		r := C.go_open(text, length, settings.c, c)
		store.handle = (*C.mapstore_store_t)(r.handle)
		return take(r.code, r.error)
	})
	if err != nil {
		return nil, err
	}
	store.cleanup = runtime.AddCleanup(store, free, store.handle)
	return store, nil
}

// Verify says whether a store opened like this could work: reaches the cluster
// and has the rights to read, to write and (for a missing map) to create it.
// Changes nothing, whoever owns the name.
func Verify(ctx context.Context, name string, options ...Option) error {
	if abiFault != nil {
		return abiFault
	}
	settings := settingsFrom(options)
	defer settings.free()
	if settings.err != nil {
		return settings.err
	}
	return allow(ctx, settings.timeout).call(nil, func(c *C.mapstore_call_t) error {
		text, length := textOf(name)
		r := C.go_verify(text, length, settings.c, c)
		return take(r.code, r.error)
	})
}

func free(handle *C.mapstore_store_t) { C.mapstore_store_free(handle) }

// Close ends the calls under way and every later one with [ErrClosed], and
// returns when the last has returned. A second time does nothing.
func (s *Store) Close() error {
	s.close.Do(func() { close(s.closing) })
	s.inUse.RLock()
	if s.handle == nil {
		s.inUse.RUnlock()
		return nil
	}
	r := C.go_close(s.handle)
	err := take(r.code, r.error)
	s.inUse.RUnlock()

	s.inUse.Lock()
	defer s.inUse.Unlock()
	if s.handle != nil {
		s.cleanup.Stop()
		free(s.handle)
		s.handle = nil
	}
	return err
}

// Name of the ConfigMap.
func (s *Store) Name() string { return s.name }

// do runs one call on the open store, and logs if it fails.
func (s *Store) do(ctx context.Context, verb string, work func(*C.mapstore_store_t, *C.mapstore_call_t) error) error {
	allowed := allow(ctx, s.timeout)
	err := s.holding(func(store *C.mapstore_store_t) error {
		return allowed.call(s.closing, func(c *C.mapstore_call_t) error { return work(store, c) })
	})
	s.logFailure(ctx, verb, err)
	return err
}

// read is do for what memory answers on a cached store: such a call waits for nothing.
func (s *Store) read(ctx context.Context, verb string, work func(*C.mapstore_store_t, *C.mapstore_call_t) error) error {
	if !s.cached {
		return s.do(ctx, verb, work)
	}
	allowed := allow(ctx, s.timeout)
	err := allowed.check()
	if err == nil {
		err = s.holding(func(store *C.mapstore_store_t) error { return work(store, nil) })
	}
	err = allowed.explained(err)
	s.logFailure(ctx, verb, err)
	return err
}

// holding runs work while nobody frees the handle.
func (s *Store) holding(work func(*C.mapstore_store_t) error) error {
	s.inUse.RLock()
	defer s.inUse.RUnlock()
	if s.handle == nil {
		return failure(KindClosed, s.name, "the store is closed")
	}
	return work(s.handle)
}

// logFailure runs the program's log handler: nothing may be held meanwhile.
func (s *Store) logFailure(ctx context.Context, verb string, err error) {
	if s.log == nil || err == nil {
		return
	}
	level := slog.LevelWarn
	if e, ok := err.(*Error); ok && e.isOrdinary() {
		level = slog.LevelDebug
	}
	s.log.Log(ctx, level, "mapstore", "verb", verb, "map", s.name, "error", err)
}

// Get gives a copy of the value, or [ErrKeyNotFound].
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	return s.AppendGet(ctx, nil, key)
}

// AppendGet appends the value to dst, or gives dst back with [ErrKeyNotFound].
// On a cached store it doesn't allocate if dst has room.
func (s *Store) AppendGet(ctx context.Context, dst []byte, key string) ([]byte, error) {
	if s.cached {
		return s.appendCached(ctx, dst, key)
	}
	found := false
	err := s.do(ctx, "get", func(store *C.mapstore_store_t, c *C.mapstore_call_t) error {
		text, length := textOf(key)
		r := C.go_get(store, c, text, length)
		if value := (*C.mapstore_value_t)(r.handle); value != nil {
			defer C.mapstore_value_free(value)
			data := unsafe.Pointer(C.mapstore_value_data(value))
			if dst == nil {
				dst = []byte{}
			}
			dst = append(dst, unsafe.Slice((*byte)(data), int(C.mapstore_value_len(value)))...)
			found = true
		}
		return take(r.code, r.error)
	})
	if err == nil && !found {
		err = ErrKeyNotFound
	}
	return dst, err
}

// appendCached asks memory: nothing blocks, so the call needs no slot and no settings.
func (s *Store) appendCached(ctx context.Context, dst []byte, key string) ([]byte, error) {
	if ctx.Err() != nil {
		allowed := allow(ctx, s.timeout)
		return dst, allowed.explained(allowed.check())
	}
	value, err := s.appendFromMemory(dst, key)
	if err != nil && err != ErrKeyNotFound {
		s.logFailure(ctx, "get", err)
	}
	return value, err
}

func (s *Store) appendFromMemory(dst []byte, key string) ([]byte, error) {
	s.inUse.RLock()
	defer s.inUse.RUnlock()
	if s.handle == nil {
		return dst, failure(KindClosed, s.name, "the store is closed")
	}
	if dst == nil {
		dst = make([]byte, 0, 64)
	}
	for {
		room := dst[len(dst):cap(dst)]
		data, capacity := bytesOf(room)
		text, length := textOf(key)
		r := C.go_get_into(s.handle, text, length, data, capacity)
		switch {
		case r.code != C.MAPSTORE_OK:
			return dst, take(r.code, r.error)
		case r.len == C.MAPSTORE_ABSENT:
			return dst, ErrKeyNotFound
		case int(r.len) <= len(room):
			return dst[:len(dst)+int(r.len)], nil
		}
		dst = append(make([]byte, 0, len(dst)+int(r.len)), dst...)
	}
}

// Contains says whether the key is there.
func (s *Store) Contains(ctx context.Context, key string) (present bool, err error) {
	err = s.read(ctx, "contains", func(store *C.mapstore_store_t, c *C.mapstore_call_t) error {
		text, length := textOf(key)
		r := C.go_contains(store, c, text, length)
		present = r.flag != 0
		return take(r.code, r.error)
	})
	return present, err
}

// Len is the number of keys.
func (s *Store) Len(ctx context.Context) (length int, err error) {
	err = s.read(ctx, "len", func(store *C.mapstore_store_t, c *C.mapstore_call_t) error {
		r := C.go_len(store, c)
		length = int(r.len)
		return take(r.code, r.error)
	})
	return length, err
}

// Keys gives all keys, sorted.
func (s *Store) Keys(ctx context.Context) (keys []string, err error) {
	err = s.read(ctx, "keys", func(store *C.mapstore_store_t, c *C.mapstore_call_t) error {
		r := C.go_keys(store, c)
		if r.handle != nil {
			listed := (*C.mapstore_keys_t)(r.handle)
			defer C.mapstore_keys_free(listed)
			keys = keysFrom(listed)
		}
		return take(r.code, r.error)
	})
	return keys, err
}

func keysFrom(listed *C.mapstore_keys_t) []string {
	keys := make([]string, 0, int(C.mapstore_keys_len(listed)))
	for index := C.size_t(0); index < C.mapstore_keys_len(listed); index++ {
		var length C.size_t
		text := C.mapstore_keys_at(listed, index, &length)
		keys = append(keys, textFrom(text, length))
	}
	return keys
}

// Refresh makes a cached store at least as new as the server is at the call; on
// an uncached one it proves that the map can be read.
func (s *Store) Refresh(ctx context.Context) error {
	return s.do(ctx, "refresh", func(store *C.mapstore_store_t, c *C.mapstore_call_t) error {
		r := C.go_refresh(store, c)
		return take(r.code, r.error)
	})
}
