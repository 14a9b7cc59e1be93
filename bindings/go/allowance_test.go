package mapstore

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestOnlyWhatTimeCanExplainIsExplainedByAContext(t *testing.T) {
	over, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	for _, c := range []struct {
		kind      Kind
		retryable bool
		explained bool
	}{
		{KindDeadline, true, true}, {KindOutcomeUnknown, false, true}, {KindCancelled, false, true},
		// Others were faster until the deadline; it is Conflict all the same.
		{KindConflict, true, true}, {KindConflict, false, false},
		{KindUnavailable, true, true}, {KindOverloaded, true, true},
		{KindForbidden, false, false}, {KindTooLarge, false, false}, {KindClosed, false, false},
	} {
		made := func() *Error { return &Error{Kind: c.kind, Retryable: c.retryable} }
		err := allow(over, time.Minute).explained(made())
		if !errors.Is(err, sentinels[c.kind]) {
			t.Errorf("%v is no longer itself", c.kind)
		}
		if errors.Is(err, context.DeadlineExceeded) != c.explained {
			t.Errorf("%v, retryable %v: it should be %v that the context explains it", c.kind, c.retryable, c.explained)
		}
		going := allow(context.Background(), time.Minute).explained(made())
		if errors.Is(going, context.DeadlineExceeded) != (c.kind == KindDeadline) {
			t.Errorf("%v: a context that goes on is no reason", c.kind)
		}
	}
}

func TestTheTimeThatTheLibraryIsTold(t *testing.T) {
	day := (24 * time.Hour).Milliseconds()
	for _, c := range []struct {
		left     time.Duration
		from, to int64
	}{
		{-time.Hour, 1, 1}, {0, 1, 1}, {10 * time.Second, 9_900, 10_000},
		{25 * time.Hour, day - 1, day}, {1<<63 - 1, day - 1, day},
	} {
		got := allowance{context.Background(), time.Now().Add(c.left)}.millisecondsLeft()
		if got < c.from || got > c.to {
			t.Errorf("%v is %d ms", c.left, got)
		}
	}
}
