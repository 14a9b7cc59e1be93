package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mapstore"
)

func onStore(ctx context.Context, store *mapstore.Store, q request) (string, error) {
	key, value := q.fields["key"], []byte(q.fields["value"])
	switch q.verb {
	case "get":
		value, err := store.Get(ctx, key)
		if errors.Is(err, mapstore.ErrKeyNotFound) {
			return " absent=1", nil
		}
		return " value=" + encode(value), err
	case "contains":
		present, err := store.Contains(ctx, key)
		return fmt.Sprintf(" present=%d", bit(present)), err
	case "len":
		length, err := store.Len(ctx)
		return fmt.Sprintf(" len=%d", length), err
	case "keys":
		keys, err := store.Keys(ctx)
		encoded := make([]string, len(keys))
		for index, key := range keys {
			encoded[index] = encode([]byte(key))
		}
		return " keys=" + strings.Join(encoded, ","), err
	case "snapshot":
		return snapshot(ctx, store)
	case "usage":
		u, err := store.Usage(ctx)
		return fmt.Sprintf(" keys=%d key_bytes=%d value_bytes=%d value_limit=%d object_bytes=%d object_limit=%d",
			u.Keys, u.KeyBytes, u.ValueBytes, u.ValueLimit, u.ObjectBytes, u.ObjectLimit), err
	case "set":
		return wrote(store.Set(ctx, key, value))
	case "force_set":
		return wrote(store.ForceSet(ctx, key, value))
	case "delete":
		return wrote(store.Delete(ctx, key))
	case "truncate":
		return wrote(store.Truncate(ctx))
	case "compare_and_set":
		if q.optional("value") == nil {
			return wrote(store.CompareAndDelete(ctx, key, q.optional("expected")))
		}
		return wrote(store.CompareAndSet(ctx, key, q.optional("expected"), value))
	case "update":
		return wrote(store.Update(ctx, key, func(old []byte, _ bool) ([]byte, error) {
			more := q.optional("append")
			if more == nil {
				return nil, mapstore.Delete
			}
			return append(append([]byte{}, old...), more...), nil
		}))
	case "refresh":
		return "", store.Refresh(ctx)
	case "close":
		return "", store.Close()
	default:
		return "", errors.New("no such verb")
	}
}

func snapshot(ctx context.Context, store *mapstore.Store) (string, error) {
	snapshot, err := store.Snapshot(ctx)
	if err != nil {
		return "", err
	}
	var entries []string
	for key, value := range snapshot.All() {
		entries = append(entries, encode([]byte(key))+":"+encode(value))
	}
	return fmt.Sprintf(" revision=%s len=%d entries=%s",
		encode([]byte(snapshot.Revision())), snapshot.Len(), strings.Join(entries, ",")), nil
}

func wrote(written mapstore.Written, err error) (string, error) {
	return fmt.Sprintf(" changed=%d revision=%s", bit(written.Changed), encode([]byte(written.Revision))), err
}
