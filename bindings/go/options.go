package mapstore

// #include "bridge.h"
import "C"

import (
	"log/slog"
	"math"
	"time"
)

// Cache says where reads come from.
type Cache int32

const (
	// CacheNone asks the API server at every read.
	CacheNone Cache = C.MAPSTORE_CACHE_NONE
	// CacheExclusive reads from memory: for a map that usually only this process writes.
	CacheExclusive Cache = C.MAPSTORE_CACHE_EXCLUSIVE
)

// Unlimited is a write budget without a limit.
const Unlimited uint64 = math.MaxUint64

// Option says how a store is to be opened.
type Option func(*settings)

type settings struct {
	c       *C.mapstore_options_t
	err     error
	timeout time.Duration
	cached  bool
	log     *slog.Logger
}

func (s *settings) text(which C.int, value string) {
	data, length := textOf(value)
	r := C.go_option_text(s.c, which, data, length)
	s.note(take(r.code, r.error))
}

func (s *settings) number(which C.int, value int64) {
	r := C.go_option_number(s.c, which, C.int64_t(value))
	s.note(take(r.code, r.error))
}

func (s *settings) note(err error) {
	if s.err == nil {
		s.err = err
	}
}

// WithNamespace says where the map is. Otherwise: NAMESPACE, the kubeconfig's
// context, the service account's namespace, "default".
func WithNamespace(namespace string) Option { return func(s *settings) { s.text(0, namespace) } }

// WithKubeconfig names the file that describes the cluster. Otherwise:
// MAPSTORE_CLUSTER_CONFIG_PATH, KUBECONFIG, the service account, ~/.kube/config.
func WithKubeconfig(path string) Option { return func(s *settings) { s.text(1, path) } }

// WithContext chooses a context of the kubeconfig. Otherwise its current one.
func WithContext(name string) Option { return func(s *settings) { s.text(2, name) } }

// WithCache says where reads come from; [CacheNone] by default.
func WithCache(cache Cache) Option {
	return func(s *settings) {
		s.number(0, int64(cache))
		s.cached = cache != CacheNone
	}
}

// WithTimeout bounds every call whose context has no deadline: 1 ms to 24 h, 10 s by default.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) {
		milliseconds := timeout.Milliseconds()
		if timeout%time.Millisecond > 0 {
			milliseconds++ // never less than was asked for
		}
		s.number(1, milliseconds)
		// Any other is refused by the library.
		if timeout > 0 && timeout <= longest {
			s.timeout = timeout
		}
	}
}

// WithTextValues stores new values as text, readable for kubectl, if they survive its YAML: UTF-8 without U+007F to
// U+009F, U+FFFE and U+FFFF.
func WithTextValues(text bool) Option {
	return func(s *settings) { s.number(2, flag(text)) }
}

// WithBinaryOnly keeps the store to the ConfigMap's binaryData, as the original
// does: it sees, counts, sets and truncates binary keys only, and leaves data alone.
func WithBinaryOnly(only bool) Option {
	return func(s *settings) { s.number(3, flag(only)) }
}

// WithStrictLookup looks for cluster and namespace where the original does and
// nowhere else: MAPSTORE_CLUSTER_CONFIG_PATH or the service account, NAMESPACE or
// the service account's.
func WithStrictLookup(strict bool) Option {
	return func(s *settings) { s.number(4, flag(strict)) }
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// WithWriteBudget bounds what this process may have stored in five minutes, over
// all maps, for as long as it runs: half of it at once, then this store's writes
// are slowed to that rate, and refused as Overloaded if they couldn't go before
// their deadline. 128 MiB by default, [Unlimited] for no limit.
func WithWriteBudget(bytes uint64) Option { return func(s *settings) { s.number(5, int64(bytes)) } }

// WithLogger logs each call that fails, as a warning, and at debug level each
// write and what is ordinary: a condition that doesn't hold, a call that the
// program cancelled or whose store it closed. Never a value. The handler runs
// after the call and may use the store, close it or panic.
func WithLogger(log *slog.Logger) Option { return func(s *settings) { s.log = log } }

// settingsFrom must be followed by free.
func settingsFrom(options []Option) *settings {
	s := &settings{c: C.mapstore_options_new(), timeout: defaultTimeout}
	for _, option := range options {
		option(s)
	}
	return s
}

func (s *settings) free() { C.mapstore_options_free(s.c) }
