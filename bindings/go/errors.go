package mapstore

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
)

// Kind says what kind of failure an [Error] is. The numbers are those of the C library.
type Kind int32

// The kinds, as docs/contract.md describes them.
const (
	KindInvalidArgument   Kind = C.MAPSTORE_INVALID_ARGUMENT
	KindTooLarge          Kind = C.MAPSTORE_TOO_LARGE
	KindConflict          Kind = C.MAPSTORE_CONFLICT
	KindOutcomeUnknown    Kind = C.MAPSTORE_OUTCOME_UNKNOWN
	KindForbidden         Kind = C.MAPSTORE_FORBIDDEN
	KindRejected          Kind = C.MAPSTORE_REJECTED
	KindUnauthorized      Kind = C.MAPSTORE_UNAUTHORIZED
	KindNamespaceNotFound Kind = C.MAPSTORE_NAMESPACE_NOT_FOUND
	KindImmutable         Kind = C.MAPSTORE_IMMUTABLE
	KindUnavailable       Kind = C.MAPSTORE_UNAVAILABLE
	KindOverloaded        Kind = C.MAPSTORE_OVERLOADED
	KindDeadline          Kind = C.MAPSTORE_DEADLINE
	KindCancelled         Kind = C.MAPSTORE_CANCELLED
	KindStale             Kind = C.MAPSTORE_STALE
	KindClosed            Kind = C.MAPSTORE_CLOSED
	KindForked            Kind = C.MAPSTORE_FORKED
	KindConfig            Kind = C.MAPSTORE_CONFIG
	KindInternal          Kind = C.MAPSTORE_INTERNAL
)

// String is the kind's name, as in the documentation: TooLarge.
func (k Kind) String() string {
	return C.GoString(C.mapstore_code_name(C.int32_t(k)))
}

// ErrKeyNotFound is what Get says of a key that isn't there.
var ErrKeyNotFound = errors.New("mapstore: there is no such key")

// There is one error for each kind, for [errors.Is].
var (
	ErrInvalidArgument   = errors.New("mapstore: invalid argument")
	ErrTooLarge          = errors.New("mapstore: too large")
	ErrConflict          = errors.New("mapstore: conflict")
	ErrOutcomeUnknown    = errors.New("mapstore: outcome unknown")
	ErrForbidden         = errors.New("mapstore: forbidden")
	ErrRejected          = errors.New("mapstore: rejected")
	ErrUnauthorized      = errors.New("mapstore: unauthorized")
	ErrNamespaceNotFound = errors.New("mapstore: namespace not found")
	ErrImmutable         = errors.New("mapstore: immutable")
	ErrUnavailable       = errors.New("mapstore: unavailable")
	ErrOverloaded        = errors.New("mapstore: overloaded")
	ErrDeadline          = errors.New("mapstore: deadline")
	ErrCancelled         = errors.New("mapstore: cancelled")
	ErrStale             = errors.New("mapstore: stale")
	ErrClosed            = errors.New("mapstore: closed")
	ErrForked            = errors.New("mapstore: forked")
	ErrConfig            = errors.New("mapstore: configuration")
	ErrInternal          = errors.New("mapstore: internal")
)

var sentinels = map[Kind]error{
	KindInvalidArgument: ErrInvalidArgument, KindTooLarge: ErrTooLarge, KindConflict: ErrConflict,
	KindOutcomeUnknown: ErrOutcomeUnknown, KindForbidden: ErrForbidden, KindRejected: ErrRejected,
	KindUnauthorized: ErrUnauthorized, KindNamespaceNotFound: ErrNamespaceNotFound,
	KindImmutable: ErrImmutable, KindUnavailable: ErrUnavailable, KindOverloaded: ErrOverloaded,
	KindDeadline: ErrDeadline, KindCancelled: ErrCancelled, KindStale: ErrStale, KindClosed: ErrClosed,
	KindForked: ErrForked, KindConfig: ErrConfig, KindInternal: ErrInternal,
}

// Error is why a call failed. It holds no stored value and no credential.
type Error struct {
	Kind Kind
	// Subject is what it is about: a key, a map, a file, a variable.
	Subject string
	// Message says what happened and what to do, the subject included.
	Message string
	// HTTPStatus of the API server's refusal; 0 if it was none.
	HTTPStatus int
	// Retryable: the same call may succeed later without anybody changing anything.
	Retryable bool
	// Used and Limit of a TooLarge, in bytes; 0 where not known.
	Used, Limit uint64
	// The context's error and what ended it, if the context's end is a reason for this.
	context, cause error
}

// Error is the message, and the context's cause if [context.WithCancelCause] gave it one of its own.
func (e *Error) Error() string {
	if e.cause != nil && e.cause != e.context {
		return "mapstore: " + e.Message + " (" + e.cause.Error() + ")"
	}
	return "mapstore: " + e.Message
}

// Is reports whether target is the sentinel of this error's kind. One of
// [KindDeadline] is [context.DeadlineExceeded] too, whoever set the deadline.
func (e *Error) Is(target error) bool {
	return target == sentinels[e.Kind] || e.Kind == KindDeadline && target == context.DeadlineExceeded
}

// Timeout reports whether time ran out, the context's or the store's.
func (e *Error) Timeout() bool {
	return e.Kind == KindDeadline || errors.Is(e.context, context.DeadlineExceeded)
}

// Unwrap gives the context's error and its cause, if the context is over and
// that is a reason for this error: the call was ended, or could have gone on.
func (e *Error) Unwrap() []error {
	switch {
	case e.context == nil:
		return nil
	case e.cause == nil || e.cause == e.context:
		return []error{e.context}
	default:
		return []error{e.context, e.cause}
	}
}

// mayBeForTime: with more time the call might have ended otherwise.
func (e *Error) mayBeForTime() bool {
	return e.Retryable || e.Kind == KindDeadline || e.Kind == KindCancelled || e.Kind == KindOutcomeUnknown
}

// isOrdinary: nothing is wrong; a condition didn't hold, or the program itself ended the call.
func (e *Error) isOrdinary() bool {
	return e.Kind == KindConflict && !e.Retryable || e.Kind == KindCancelled || e.Kind == KindClosed
}

func failure(kind Kind, subject, message string) *Error {
	return &Error{Kind: kind, Subject: subject, Message: subject + ": " + message, Retryable: kind == KindDeadline}
}

// take makes an error of the library one of Go's, and frees it.
func take(code C.int32_t, from *C.mapstore_error_t) error {
	if code == C.MAPSTORE_OK {
		return nil
	}
	defer C.mapstore_error_free(from)
	return &Error{
		Kind:       Kind(code),
		Subject:    C.GoString(C.mapstore_error_subject(from)),
		Message:    C.GoString(C.mapstore_error_message(from)),
		HTTPStatus: int(C.mapstore_error_http_status(from)),
		Retryable:  C.mapstore_error_retryable(from) != 0,
		Used:       uint64(C.mapstore_error_used(from)),
		Limit:      uint64(C.mapstore_error_limit(from)),
	}
}
