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

const (
	// defaultTimeout is the library's own, of stores without [WithTimeout].
	defaultTimeout = 10 * time.Second
	// longest is the most time that the library takes for one call.
	longest = 24 * time.Hour
)

// allowance is how long a call may take: until ctx ends, in whatever way, and
// until the deadline at most.
type allowance struct {
	ctx context.Context
	// The context's deadline; if the context has none, as far away as the store's timeout.
	deadline time.Time
}

// allow is called when a call begins, so that whatever the call waits for afterwards counts.
func allow(ctx context.Context, timeout time.Duration) allowance {
	if deadline, ok := ctx.Deadline(); ok {
		return allowance{ctx, deadline}
	}
	return allowance{ctx, time.Now().Add(timeout)}
}

// call runs work in C, and returns after it has. A context that ends cancels
// it. closing ends the wait for a slot.
func (a allowance) call(closing <-chan struct{}, work func(settings *C.mapstore_call_t) error) error {
	waited, err := a.enter(closing)
	if err != nil {
		return a.explained(err)
	}
	defer leave()
	if !waited && a.isStores() {
		return a.explained(work(nil))
	}
	settings, release, err := a.settings()
	if err != nil {
		return err
	}
	defer release()
	return a.explained(work(settings))
}

// isStores: nothing but the store's timeout can end the call.
func (a allowance) isStores() bool {
	_, ok := a.ctx.Deadline()
	return !ok && a.ctx.Done() == nil
}

// enter takes a slot, which leave gives back, and tells whether it had to wait for one.
func (a allowance) enter(closing <-chan struct{}) (waited bool, err error) {
	if err := a.check(); err != nil {
		return false, err
	}
	select {
	case slots <- struct{}{}:
		return false, nil
	default:
	}
	timer := time.NewTimer(time.Until(a.deadline))
	defer timer.Stop()
	select {
	case slots <- struct{}{}:
		return true, nil
	case <-closing:
		return true, failure(KindClosed, "store", "it was closed before the call began; nothing was sent")
	case <-a.ctx.Done():
		return true, a.check()
	case <-timer.C:
		return true, failure(KindDeadline, "process", "its 256 calls at once all wait for API servers; nothing was sent")
	}
}

func leave() { <-slots }

// check says whether the call is over before it began.
func (a allowance) check() error {
	const message = "it was over before the call began; nothing was sent"
	switch err := a.ctx.Err(); {
	case err == nil && time.Until(a.deadline) > 0:
		return nil
	case err == nil || errors.Is(err, context.DeadlineExceeded):
		return failure(KindDeadline, "context", message)
	default:
		return failure(KindCancelled, "context", message)
	}
}

// settings are those of a call in C that begins now; release must follow.
func (a allowance) settings() (settings *C.mapstore_call_t, release func(), err error) {
	token := C.mapstore_cancel_token_new()
	settings = C.mapstore_call_new()
	var cancelling sync.WaitGroup
	cancelling.Add(1)
	stop := context.AfterFunc(a.ctx, func() {
		defer cancelling.Done()
		// The library sees this deadline by itself, and knows better what to say of a write then.
		if time.Until(a.deadline) > 0 {
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
	r := C.go_call_settings(settings, C.int64_t(a.millisecondsLeft()), token)
	if err := take(r.code, r.error); err != nil {
		release()
		return nil, nil, err
	}
	return settings, release, nil
}

// millisecondsLeft are what the library can be told: at least one, at most a day.
func (a allowance) millisecondsLeft() int64 {
	left := min(time.Until(a.deadline), longest-time.Millisecond)
	return max((left + time.Millisecond - 1).Milliseconds(), 1)
}

// explained adds the context's error, and why it ended, to an error for which
// the end of the context is a reason. A context that goes on is no reason for
// anything, whatever the library says.
func (a allowance) explained(err error) error {
	e, ok := err.(*Error)
	if !ok || !e.mayBeForTime() {
		return err
	}
	a.settle()
	if over := a.ctx.Err(); over != nil {
		e.context, e.cause = over, context.Cause(a.ctx)
	}
	return e
}

// settle waits for a context whose deadline has passed and whose own timer is a moment late.
func (a allowance) settle() {
	deadline, ok := a.ctx.Deadline()
	if !ok || time.Until(deadline) > 0 {
		return
	}
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-a.ctx.Done():
	case <-timer.C:
	}
}
