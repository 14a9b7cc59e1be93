package mapstore

import (
	"context"
	"errors"
)

// Interface is what [New] gives, as github.com/unrolled/mapstore has it.
type Interface interface {
	Keys() ([]string, error)
	Get(key string) ([]byte, error)
	Set(key string, value []byte) error
	Delete(key string) error
	Truncate() error
}

// AdvancedInterface is the rest of it.
type AdvancedInterface interface {
	Interface
	Raw() (map[string][]byte, error)
	ForceSet(key string, value []byte) error
}

var _ AdvancedInterface = (*Manager)(nil)

// Manager is a [Store] without contexts: each call has the store's timeout, 10 s.
type Manager struct{ store *Store }

// asOriginal is where the original looks for the cluster and the namespace, and
// what it sees of a ConfigMap.
func asOriginal(cache Cache) []Option {
	return []Option{WithStrictLookup(true), WithBinaryOnly(true), WithCache(cache)}
}

// New opens the ConfigMap name; cacheInternally is [CacheExclusive]. As in the
// original, the manager sees, sets and truncates binaryData only, and cluster
// and namespace come from MAPSTORE_CLUSTER_CONFIG_PATH, else the pod's service
// account, and from NAMESPACE, else the service account; nothing else is tried.
func New(name string, cacheInternally bool) (*Manager, error) {
	cache := CacheNone
	if cacheInternally {
		cache = CacheExclusive
	}
	store, err := Open(context.Background(), name, asOriginal(cache)...)
	if err != nil {
		return nil, err
	}
	return &Manager{store}, nil
}

// VerifyConnection says whether a manager over this name could work, as
// [Verify] does. Unlike the original it changes nothing, so any name can be tried.
func VerifyConnection(testMapName string) error {
	return Verify(context.Background(), testMapName, asOriginal(CacheNone)...)
}

// Store is what the manager works with: contexts, batches and the rest.
func (m *Manager) Store() *Store { return m.store }

// Close ends the store; a program need not call it.
func (m *Manager) Close() error { return m.store.Close() }

// Keys gives all keys, sorted.
func (m *Manager) Keys() ([]string, error) { return m.store.Keys(context.Background()) }

// Get gives the value, or [ErrKeyNotFound], also for a key that no map can have.
func (m *Manager) Get(key string) ([]byte, error) {
	value, err := m.store.Get(context.Background(), key)
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, ErrInvalidArgument):
		return nil, ErrKeyNotFound // the key is the only argument
	default:
		return nil, err
	}
}

// Set stores a value, unless it is stored already.
func (m *Manager) Set(key string, value []byte) error {
	_, err := m.store.Set(context.Background(), key, value)
	return err
}

// ForceSet stores a value in a new revision, even if it is stored already.
func (m *Manager) ForceSet(key string, value []byte) error {
	_, err := m.store.ForceSet(context.Background(), key, value)
	return err
}

// Delete removes a key. A missing one is fine, and so is one that no map can have.
func (m *Manager) Delete(key string) error {
	_, err := m.store.Delete(context.Background(), key)
	if errors.Is(err, ErrInvalidArgument) {
		return nil // the key is the only argument
	}
	return err
}

// Truncate removes every key. The ConfigMap stays.
func (m *Manager) Truncate() error {
	_, err := m.store.Truncate(context.Background())
	return err
}

// Raw gives all keys and values: a copy.
func (m *Manager) Raw() (map[string][]byte, error) {
	snapshot, err := m.store.Snapshot(context.Background())
	if err != nil {
		return nil, err
	}
	return snapshot.Map(), nil
}
