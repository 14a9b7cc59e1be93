package mapstore_test

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"

	"mapstore"
)

// record is the most ordinary struct: bytes beside pointers.
type record struct {
	name *string
	key  [6]byte
	list []string
	body [32]byte
	more map[string]int
}

func newRecord(number int) *record {
	name := "x"
	r := &record{name: &name, list: []string{name}, more: map[string]int{name: 1}}
	copy(r.key[:], fmt.Sprintf("key-%02d", number))
	for index := range r.body {
		r.body[index] = byte(number + index)
	}
	return r
}

// keyText is the key where it stands: in the struct.
func (r *record) keyText() string { return unsafe.String(&r.key[0], len(r.key)) }

// TestBytesOfAStructWithPointersAreKeysAndValues: cgo panicked with "argument
// of cgo function has Go pointer to unpinned Go pointer".
func TestBytesOfAStructWithPointersAreKeysAndValues(t *testing.T) {
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			store := open(t, mapstore.WithCache(cache))
			for number, call := range pointerCalls(store) {
				r := newRecord(number)
				if err := call(r, r.keyText(), r.body[:]); err != nil {
					t.Errorf("call %d: %v", number, err)
				}
			}
			sees(t, store)
		})
	}
}

// pointerCalls are all calls that take a key or a value; each begins without the key.
func pointerCalls(store *mapstore.Store) []func(r *record, key string, value []byte) error {
	apply := func(b *mapstore.Batch) error { _, err := store.Apply(ctx, b); return err }
	return []func(*record, string, []byte) error{
		func(_ *record, key string, value []byte) error { _, err := store.Set(ctx, key, value); return err },
		func(_ *record, key string, value []byte) error { _, err := store.ForceSet(ctx, key, value); return err },
		func(_ *record, key string, value []byte) error {
			_, err := store.CompareAndSet(ctx, key, nil, value)
			if err == nil {
				_, err = store.CompareAndSet(ctx, key, value, value)
			}
			return err
		},
		func(_ *record, key string, value []byte) error {
			_, err := store.Update(ctx, key, func([]byte, bool) ([]byte, error) { return value, nil })
			return err
		},
		func(_ *record, key string, value []byte) error {
			return apply(mapstore.NewBatch().IfAbsent(key).Set(key, value))
		},
		func(_ *record, key string, value []byte) error {
			if err := apply(mapstore.NewBatch().ForceSet(key, value)); err != nil {
				return err
			}
			return apply(mapstore.NewBatch().IfPresent(key).IfEquals(key, value))
		},
		func(_ *record, key string, value []byte) error {
			_, err := store.Set(ctx, key, value)
			if err == nil {
				_, err = store.CompareAndDelete(ctx, key, value)
			}
			if err == nil {
				_, err = store.Set(ctx, key, value)
			}
			if err == nil {
				_, err = store.Delete(ctx, key)
			}
			if err == nil {
				_, err = store.Set(ctx, key, value[:len(value):len(value)])
			}
			return err
		},
	}
}

// sees reads every key of pointerCalls into another struct with pointers.
func sees(t *testing.T, store *mapstore.Store) {
	for number := range pointerCalls(store) {
		wanted, got := newRecord(number), newRecord(99)
		key := wanted.keyText()
		for _, room := range [][]byte{got.body[:0], got.body[:0:5], nil} {
			value, err := store.AppendGet(ctx, room, key)
			must(t, err)
			if !bytes.Equal(value, wanted.body[:]) {
				t.Errorf("%s: %v", key, value)
			}
		}
		if got.body != wanted.body {
			t.Errorf("%s: the array was not filled", key)
		}
		present, err := store.Contains(ctx, key)
		must(t, err)
		if !present {
			t.Errorf("%s is missing", key)
		}
	}
}

func TestBytesOfAStructWithPointersInAManager(t *testing.T) {
	manager := newManager(t, true)
	r := newRecord(1)
	must(t, manager.Set(r.keyText(), r.body[:]))
	must(t, manager.ForceSet(r.keyText(), r.body[:]))
	value, err := manager.Get(r.keyText())
	must(t, err)
	if !bytes.Equal(value, r.body[:]) {
		t.Fatal(value)
	}
	must(t, manager.Delete(r.keyText()))
}

// The other texts that are given to C.
func TestBytesOfAStructWithPointersAreNamesAndOptions(t *testing.T) {
	r := newRecord(2)
	store, err := mapstore.Open(ctx, r.keyText(), mapstore.WithKubeconfig(shared.Kubeconfig()), mapstore.WithContext(r.keyText()))
	if store != nil || err == nil {
		t.Fatal("there is no such context")
	}
	must(t, mapstore.Verify(ctx, r.keyText(), mapstore.WithKubeconfig(shared.Kubeconfig())))
	store, err = mapstore.Open(ctx, r.keyText(), mapstore.WithKubeconfig(shared.Kubeconfig()), mapstore.WithNamespace("default"))
	must(t, err)
	written, err := store.Set(ctx, "k", r.body[:])
	must(t, err)
	_, err = store.Apply(ctx, mapstore.NewBatch().IfRevision(written.Revision).Delete("k"))
	must(t, err)
	must(t, store.Close())
}
