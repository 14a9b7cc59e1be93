package mapstore_test

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mapstore"
)

// late is more than anything is held up here, and less than any mistake makes of it.
const late = time.Second

func deadStore(t *testing.T, timeout time.Duration) *mapstore.Store {
	store, err := mapstore.Open(ctx, "hole", mapstore.WithKubeconfig(blackHole(t)), mapstore.WithTimeout(timeout))
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

// TestADeadlineInTheYear9999IsFarAway: it was a millisecond.
func TestADeadlineInTheYear9999IsFarAway(t *testing.T) {
	store := open(t)
	for what, deadline := range map[string]time.Time{
		"a day and a millisecond": time.Now().Add(24*time.Hour + time.Millisecond),
		"the longest duration":    time.Now().Add(math.MaxInt64),
		"the year 9999":           time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	} {
		for range 5 {
			far, cancel := context.WithDeadline(ctx, deadline)
			// Large, so that it can't be done in a millisecond.
			if _, err := store.ForceSet(far, "k", make([]byte, 500_000)); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			_, err := store.Update(far, "n", func([]byte, bool) ([]byte, error) { return nil, nil })
			must(t, err)
			cancel()
		}
	}
}

// hidden is its parent without the deadline, as merged contexts are.
type hidden struct{ context.Context }

func (hidden) Deadline() (time.Time, bool) { return time.Time{}, false }

// own is a context that somebody else wrote.
type own struct {
	context.Context
	deadline time.Time
	done     chan struct{}
	mutex    sync.Mutex
	err      error
}

func (o *own) Deadline() (time.Time, bool) { return o.deadline, !o.deadline.IsZero() }
func (o *own) Done() <-chan struct{}       { return o.done }
func (o *own) Err() error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.err
}

func ownEnding(deadline time.Time, after time.Duration, err error) *own {
	o := &own{Context: ctx, deadline: deadline, done: make(chan struct{})}
	time.AfterFunc(after, func() {
		o.mutex.Lock()
		o.err = err
		o.mutex.Unlock()
		close(o.done)
	})
	return o
}

// TestAContextEndsACallHoweverItEnds: only a told deadline and a cancellation did.
func TestAContextEndsACallHoweverItEnds(t *testing.T) {
	store := deadStore(t, time.Minute)
	const after = 100 * time.Millisecond
	contexts := map[string]func() (context.Context, context.CancelFunc, error){
		"deadline": func() (context.Context, context.CancelFunc, error) {
			c, cancel := context.WithTimeout(ctx, after)
			return c, cancel, context.DeadlineExceeded
		},
		"deadline that isn't told": func() (context.Context, context.CancelFunc, error) {
			c, cancel := context.WithTimeout(ctx, after)
			return hidden{c}, cancel, context.DeadlineExceeded
		},
		"child of one whose deadline isn't told": func() (context.Context, context.CancelFunc, error) {
			c, cancel := context.WithTimeout(ctx, after)
			child, cancelChild := context.WithTimeout(hidden{c}, time.Hour)
			return child, func() { cancelChild(); cancel() }, context.DeadlineExceeded
		},
		"parent's cancellation": func() (context.Context, context.CancelFunc, error) {
			c, cancel := context.WithCancel(ctx)
			time.AfterFunc(after, cancel)
			child, cancelChild := context.WithTimeout(context.WithValue(c, hidden{}, 1), time.Hour)
			return child, cancelChild, context.Canceled
		},
		"own, cancelled": func() (context.Context, context.CancelFunc, error) {
			return ownEnding(time.Time{}, after, context.Canceled), func() {}, context.Canceled
		},
		"own, over before the deadline it tells": func() (context.Context, context.CancelFunc, error) {
			return ownEnding(time.Now().Add(time.Hour), after, context.DeadlineExceeded), func() {}, context.DeadlineExceeded
		},
	}
	for what, made := range contexts {
		for verb, call := range blockedCalls(store) {
			c, cancel, wanted := made()
			started := time.Now()
			err := call(c)
			if took := time.Since(started); took > after+late {
				t.Errorf("%s, %s: it took %v of %v", what, verb, took, after)
			}
			wants(t, err, wanted)
			cancel()
		}
	}
}

func blockedCalls(store *mapstore.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"get":      func(c context.Context) error { _, err := store.Get(c, "k"); return err },
		"keys":     func(c context.Context) error { _, err := store.Keys(c); return err },
		"contains": func(c context.Context) error { _, err := store.Contains(c, "k"); return err },
		"set":      func(c context.Context) error { _, err := store.Set(c, "k", nil); return err },
		"update": func(c context.Context) error {
			_, err := store.Update(c, "k", func([]byte, bool) ([]byte, error) { return nil, nil })
			return err
		},
		"refresh": store.Refresh,
	}
}

// TestTheCauseOfACancellationIsKept: context.Cause was lost.
func TestTheCauseOfACancellationIsKept(t *testing.T) {
	store := deadStore(t, time.Minute)
	cause := errors.New("the pod is drained")
	for _, after := range []time.Duration{0, 50 * time.Millisecond} {
		for verb, call := range blockedCalls(store) {
			c, cancel := context.WithCancelCause(ctx)
			if after == 0 {
				cancel(cause)
			} else {
				time.AfterFunc(after, func() { cancel(cause) })
			}
			err := call(c)
			for _, wanted := range []error{cause, context.Canceled, mapstore.ErrCancelled} {
				if !errors.Is(err, wanted) {
					t.Errorf("%s after %v: %v is not %v", verb, after, err, wanted)
				}
			}
			if errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), cause.Error()) {
				t.Errorf("%s: %v", verb, err)
			}
		}
	}
	c, cancel := context.WithTimeoutCause(ctx, 50*time.Millisecond, cause)
	defer cancel()
	_, err := store.Get(c, "k")
	wants(t, err, cause)
	wants(t, err, context.DeadlineExceeded)
}

// TestTheTimeoutOfAStoreIsATimeout: it was neither Timeout nor DeadlineExceeded.
func TestTheTimeoutOfAStoreIsATimeout(t *testing.T) {
	store := deadStore(t, 50*time.Millisecond)
	cancelled, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, c := range []context.Context{ctx, cancelled} {
		_, err := store.Get(c, "k")
		wants(t, err, mapstore.ErrDeadline)
		wants(t, err, context.DeadlineExceeded)
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() || !os.IsTimeout(err) {
			t.Fatalf("%v is no timeout", err)
		}
	}
	_, err := store.Get(ctx, "a/b")
	var e *mapstore.Error
	if !errors.As(err, &e) || e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v is a timeout", err)
	}
}

func TestAContextThatIsOverSendsNothing(t *testing.T) {
	store := open(t)
	past := ownEnding(time.Now().Add(-time.Second), time.Hour, context.Canceled)
	for verb, call := range blockedCalls(store) {
		if err := call(past); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nothing was sent") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if present, err := store.Contains(ctx, "k"); present || err != nil {
		t.Fatal(present, err)
	}
	// Between an update's read and its write.
	c, cancel := context.WithCancel(ctx)
	_, err := store.Update(c, "k", func([]byte, bool) ([]byte, error) { cancel(); return nil, nil })
	wants(t, err, mapstore.ErrCancelled)
	if present, err := store.Contains(ctx, "k"); present || err != nil {
		t.Fatal(present, err)
	}
}

// TestWaitingForASlotCountsTowardsTheDeadline: the deadline of a call that
// waited began anew when it had its slot.
func TestWaitingForASlotCountsTowardsTheDeadline(t *testing.T) {
	const timeout = 2 * time.Second
	store := deadStore(t, timeout)
	cached := open(t, mapstore.WithCache(mapstore.CacheExclusive))
	healthy := open(t)
	var group sync.WaitGroup
	call := func(made func() (context.Context, context.CancelFunc)) {
		group.Go(func() {
			c, cancel := made()
			defer cancel()
			started := time.Now()
			_, err := store.Get(c, "k")
			if took := time.Since(started); took > timeout+late || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it took %v of %v: %v", took, timeout, err)
			}
		})
	}
	for range 256 {
		call(func() (context.Context, context.CancelFunc) { return ctx, func() {} })
	}
	time.Sleep(200 * time.Millisecond)
	for range 100 {
		call(func() (context.Context, context.CancelFunc) { return ctx, func() {} })
		call(func() (context.Context, context.CancelFunc) { return context.WithCancel(ctx) })
		call(func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, timeout) })
	}
	within(t, "reads from memory", timeout/2, func() {
		_, err := cached.Contains(ctx, "k")
		must(t, err)
		_, err = cached.Keys(ctx)
		must(t, err)
		_, err = cached.Snapshot(ctx)
		must(t, err)
	})
	within(t, "Close of another store", timeout/2, func() {
		waiting := make(chan error)
		go func() { _, err := healthy.Get(ctx, "k"); waiting <- err }()
		time.Sleep(50 * time.Millisecond)
		must(t, healthy.Close())
		// It may have had its slot, and its answer, before.
		if err := <-waiting; !errors.Is(err, mapstore.ErrClosed) && err != mapstore.ErrKeyNotFound {
			t.Error(err)
		}
	})
	group.Wait()
}
