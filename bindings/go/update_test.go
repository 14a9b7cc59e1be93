package mapstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"mapstore"
)

// TestAnUpdateThatGivesNilStoresAnEmptyValue: it deleted the key, and ordinary
// functions of bytes give nil for no bytes.
func TestAnUpdateThatGivesNilStoresAnEmptyValue(t *testing.T) {
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			store := open(t, mapstore.WithCache(cache))
			for what, change := range map[string]func([]byte) []byte{
				"nil":             func([]byte) []byte { return nil },
				"an empty slice":  func([]byte) []byte { return []byte{} },
				"bytes.TrimSpace": bytes.TrimSpace,
				"slices.Clone":    slices.Clone[[]byte],
				"append":          func(old []byte) []byte { return append([]byte(nil), old...) },
				"bytes.Buffer":    func([]byte) []byte { var b bytes.Buffer; return b.Bytes() },
			} {
				for _, before := range []func() error{
					func() error { _, err := store.Set(ctx, "k", nil); return err },
					func() error { _, err := store.Delete(ctx, "k"); return err },
				} {
					must(t, before())
					_, err := store.Update(ctx, "k", func(old []byte, _ bool) ([]byte, error) { return change(old), nil })
					must(t, err)
					value, err := store.Get(ctx, "k")
					if err != nil || value == nil || len(value) != 0 {
						t.Errorf("%s: %v %v", what, value, err)
					}
				}
			}
		})
	}
}

func TestAnUpdateDeletesAndKeepsIfItSaysSo(t *testing.T) {
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			store := open(t, mapstore.WithCache(cache))
			update := func(value []byte, err error) (mapstore.Written, error) {
				return store.Update(ctx, "k", func([]byte, bool) ([]byte, error) { return value, err })
			}
			first, err := update([]byte("1"), nil)
			must(t, err)
			kept, err := update([]byte("2"), fmt.Errorf("nothing to do: %w", mapstore.Keep))
			must(t, err)
			value, err := store.Get(ctx, "k")
			must(t, err)
			if !first.Changed || kept.Changed || string(value) != "1" {
				t.Fatal(first, kept, value)
			}
			deleted, err := update([]byte("3"), mapstore.Delete)
			must(t, err)
			if present, err := store.Contains(ctx, "k"); present || err != nil || !deleted.Changed {
				t.Fatal(deleted, present, err)
			}
			for _, nothing := range []error{mapstore.Delete, mapstore.Keep} {
				written, err := update(nil, nothing)
				must(t, err)
				if present, err := store.Contains(ctx, "k"); present || err != nil || written.Changed {
					t.Fatal(written, present, err)
				}
			}
			refusal := errors.New("not now")
			if _, err = update([]byte("4"), refusal); err != refusal {
				t.Fatal(err)
			}
		})
	}
}

// TestNilIsAnEmptyValue, wherever a value is stored or compared; the one
// exception is what stands for what Get says of a missing key.
func TestNilIsAnEmptyValue(t *testing.T) {
	store := open(t)
	empty := func() {
		t.Helper()
		value, err := store.Get(ctx, "k")
		if err != nil || value == nil || len(value) != 0 {
			t.Fatal(value, err)
		}
	}
	_, err := store.CompareAndSet(ctx, "k", nil, nil)
	must(t, err)
	empty()
	_, err = store.CompareAndSet(ctx, "k", nil, []byte("1"))
	wants(t, err, mapstore.ErrConflict)
	_, err = store.CompareAndSet(ctx, "k", []byte{}, nil)
	must(t, err)
	empty()
	_, err = store.Apply(ctx, mapstore.NewBatch().IfEquals("k", nil).Set("k", nil))
	must(t, err)
	empty()
	_, err = store.Apply(ctx, mapstore.NewBatch().IfEquals("missing", nil))
	wants(t, err, mapstore.ErrConflict)
	_, err = store.CompareAndDelete(ctx, "k", nil)
	wants(t, err, mapstore.ErrConflict)
	_, err = store.CompareAndDelete(ctx, "k", []byte("other"))
	wants(t, err, mapstore.ErrConflict)
	empty()
	deleted, err := store.CompareAndDelete(ctx, "k", []byte{})
	must(t, err)
	none, err := store.CompareAndDelete(ctx, "k", nil)
	must(t, err)
	if !deleted.Changed || none.Changed {
		t.Fatal(deleted, none)
	}
}
