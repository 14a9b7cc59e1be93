package mapstore_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mapstore"
)

// handler is a log handler that runs a function for each record.
type handler func(slog.Record)

func (h handler) Enabled(context.Context, slog.Level) bool           { return true }
func (h handler) Handle(_ context.Context, record slog.Record) error { h(record); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler                 { return h }
func (h handler) WithGroup(string) slog.Handler                      { return h }

// fails are calls that fail, each in another place, and so log.
func fails(store *mapstore.Store) map[string]func() error {
	return map[string]func() error{
		"compare_and_set": func() error { _, err := store.CompareAndSet(ctx, "k", []byte("x"), nil); return err },
		"set":             func() error { _, err := store.Set(ctx, "a/b", nil); return err },
		"get":             func() error { _, err := store.Get(ctx, "a/b"); return err },
		"contains":        func() error { _, err := store.Contains(ctx, "a/b"); return err },
		"update": func() error {
			_, err := store.Update(ctx, "a/b", func([]byte, bool) ([]byte, error) { return nil, nil })
			return err
		},
		"commit": func() error {
			_, err := store.Update(ctx, "k", func([]byte, bool) ([]byte, error) { return make([]byte, 1<<20+1), nil })
			return err
		},
	}
}

func within(t *testing.T, what string, limit time.Duration, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); work() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s: nothing after %v", what, limit)
	}
}

func TestALogHandlerMayCloseTheStore(t *testing.T) {
	for cacheName, cache := range caches {
		for what := range fails(nil) {
			var store *mapstore.Store
			store = open(t, mapstore.WithCache(cache), mapstore.WithLogger(slog.New(handler(func(slog.Record) {
				must(t, store.Close())
			}))))
			within(t, cacheName+" "+what, 10*time.Second, func() {
				if err := fails(store)[what](); err == nil {
					t.Errorf("%s didn't fail", what)
				}
			})
			_, err := store.Get(ctx, "k")
			wants(t, err, mapstore.ErrClosed)
		}
	}
}

func TestASlowLogHandlerHoldsNobodyElse(t *testing.T) {
	for _, cache := range caches {
		for what := range fails(nil) {
			entered, leave := make(chan struct{}, 9), make(chan struct{})
			store := open(t, mapstore.WithCache(cache), mapstore.WithLogger(slog.New(handler(func(slog.Record) {
				entered <- struct{}{}
				<-leave
			}))))
			go fails(store)[what]()
			<-entered
			within(t, "close beside the handler of "+what, 5*time.Second, func() { must(t, store.Close()) })
			close(leave)
		}
	}
}

func TestAPanickingLogHandlerBreaksNothing(t *testing.T) {
	angry := true
	store := open(t, mapstore.WithLogger(slog.New(handler(func(slog.Record) {
		if angry {
			panic("handler")
		}
	}))))
	for what, call := range fails(store) {
		for range 300 { // more than there are slots
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: the panic was swallowed", what)
					}
				}()
				_ = call()
			}()
		}
	}
	angry = false
	_, err := store.Set(ctx, "k", nil)
	must(t, err)
}

func TestALogWarnsOfFaultsOnly(t *testing.T) {
	levels := map[string]slog.Level{}
	store := open(t, mapstore.WithLogger(slog.New(handler(func(record slog.Record) {
		record.Attrs(func(attribute slog.Attr) bool {
			levels[attribute.Value.String()] = record.Level
			return true
		})
	}))))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	calls := fails(store)
	_, err := store.Delete(cancelled, "k")
	wants(t, err, context.Canceled)
	wants(t, calls["compare_and_set"](), mapstore.ErrConflict)
	wants(t, calls["contains"](), mapstore.ErrInvalidArgument)
	must(t, store.Close())
	_, err = store.Truncate(ctx)
	wants(t, err, mapstore.ErrClosed)
	for verb, level := range map[string]slog.Level{
		"compare_and_set": slog.LevelDebug, "delete": slog.LevelDebug, "truncate": slog.LevelDebug, "contains": slog.LevelWarn,
	} {
		if got, logged := levels[verb]; !logged || got != level {
			t.Errorf("%s is logged as %v (%v)", verb, got, logged)
		}
	}
}

func TestALogHoldsNoValues(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := open(t, mapstore.WithLogger(log))
	_, err := store.Set(ctx, "k", []byte("secret-value"))
	must(t, err)
	_, err = store.CompareAndSet(ctx, "k", []byte("secret-guess"), nil)
	wants(t, err, mapstore.ErrConflict)
	if said := text.String(); strings.Contains(said, "secret") || !strings.Contains(said, "verb=set") {
		t.Fatal(said)
	}
}
