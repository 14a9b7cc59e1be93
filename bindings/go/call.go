package mapstore

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"sync"
	"time"
)

// atOnce bounds the calls that wait in C, of all stores together: each holds an
// OS thread, and a Go program that needs 10,000 of them is killed.
const atOnce = 256

var slots = make(chan struct{}, atOnce)

// call runs work in C as long as ctx allows: its deadline becomes the call's,
// its cancellation the call's too, and the call has returned before this does.
func call(ctx context.Context, work func(settings *C.mapstore_call_t) error) error {
	settings, release, err := settingsOf(ctx)
	if err != nil {
		return err
	}
	defer release()
	return inC(ctx, func() error { return work(settings) })
}

// inC runs work as soon as one of the slots is free.
func inC(ctx context.Context, work func() error) error {
	if ctx.Err() != nil {
		return overBefore(ctx)
	}
	select {
	case slots <- struct{}{}:
	default:
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return overBefore(ctx)
		}
	}
	defer func() { <-slots }()
	return ended(ctx, work())
}

// overBefore: nothing was sent.
func overBefore(ctx context.Context) error {
	kind := KindCancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = KindDeadline
	}
	return ended(ctx, failure(kind, "context", "it was over before the call began; nothing was sent"))
}

func nothingToRelease() {}

// settingsOf makes the settings of a call; release must follow it.
func settingsOf(ctx context.Context) (settings *C.mapstore_call_t, release func(), err error) {
	if ctx.Done() == nil {
		return nil, nothingToRelease, nil
	}
	token := C.mapstore_cancel_token_new()
	settings = C.mapstore_call_new()
	var cancelling sync.WaitGroup
	cancelling.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer cancelling.Done()
		// At a deadline the library knows better what to say of a write.
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			C.mapstore_cancel_token_cancel(token)
		}
	})
	release = func() {
		if !stop() {
			cancelling.Wait()
		}
		C.mapstore_call_free(settings)
		C.mapstore_cancel_token_free(token)
	}
	r := C.go_call_settings(settings, C.int64_t(millisecondsLeft(ctx)), token)
	if err := take(r.code, r.error); err != nil {
		release()
		return nil, nil, err
	}
	return settings, release, nil
}

// millisecondsLeft until the context's deadline, at least one and at most a
// day; 0 if it has none.
func millisecondsLeft(ctx context.Context) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	left := time.Until(deadline) + time.Millisecond - 1
	return min(max(left.Milliseconds(), 1), (24 * time.Hour).Milliseconds())
}

// ended adds the context's error to one that it caused.
func ended(ctx context.Context, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case KindCancelled, KindDeadline, KindOutcomeUnknown:
		e.context = ctx.Err()
		if _, has := ctx.Deadline(); e.context == nil && has && e.Kind != KindCancelled {
			e.context = context.DeadlineExceeded // by a moment earlier than the context's own timer
		}
	}
	return e
}
