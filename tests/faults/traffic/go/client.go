package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mapstore"
)

// client is a store, and the calls made with it, one after the other.
type client struct {
	name  string
	setup *setup
	late  *lateness
	store *mapstore.Store
	// seen is what was last seen of each key (nil: no such key), revision what was last told: for conditions.
	seen     map[string]*[]byte
	revision string
}

func (c *client) mode() string { return c.setup.Modes[c.name] }

func (c *client) runAll(script []call, quiet bool) {
	for _, one := range script {
		if one.Quiet == quiet {
			c.run(one)
		}
	}
}

// run makes the call and says what came of it.
func (c *client) run(one call) {
	time.Sleep(time.Duration(one.PauseUS) * time.Microsecond)
	if (one.Verb == "open") == (c.store != nil) {
		return
	}
	c.fill(&one)
	l := &line{call: one, Process: c.setup.Process, Language: "go", Mode: c.mode()}
	begun := *l
	say(event{Event: "begin", Start: now(), Call: &begun})
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(one.TimeoutMS)*time.Millisecond)
	defer cancel()
	var cancelled atomic.Int64
	if one.CancelMS > 0 {
		defer time.AfterFunc(time.Duration(one.CancelMS)*time.Millisecond, func() {
			cancelled.Store(now())
			cancel()
		}).Stop()
	}
	l.Start = now()
	err := c.call(ctx, l)
	l.End = now()
	l.Outcome = "Ok"
	var failed *mapstore.Error
	if errors.As(err, &failed) {
		l.Outcome, l.Message, l.Status = failed.Kind.String(), failed.Message, failed.HTTPStatus
		l.Retryable = failed.Retryable
	} else if err != nil {
		l.Outcome, l.Message = "Other", err.Error()
	}
	deadline := l.Start + one.TimeoutMS*1e6
	if l.Cancelled = cancelled.Load(); l.Cancelled > 0 {
		deadline = min(deadline, l.Cancelled)
	}
	if l.End > deadline {
		l.Late = c.late.since(deadline)
	}
	say(event{Event: "end", Call: l})
}

// fill puts what this client has seen where the script says @. What it hasn't seen can't be a condition.
func (c *client) fill(one *call) {
	filled := [][]string{}
	for _, condition := range one.Conditions {
		seen, known := c.seen[condition[1]]
		switch {
		case condition[0] == "equals" && condition[2] == "@" && !known:
			continue
		case condition[0] == "equals" && condition[2] == "@" && seen == nil:
			condition = []string{"absent", condition[1], ""}
		case condition[0] == "equals" && condition[2] == "@":
			condition = []string{"equals", condition[1], text(*seen)}
		case condition[0] == "revision" && c.revision == "":
			continue
		case condition[0] == "revision":
			condition = []string{"revision", condition[1], c.revision}
		}
		filled = append(filled, condition)
	}
	one.Conditions = filled
}

func (c *client) call(ctx context.Context, l *line) error {
	switch l.Verb {
	case "open":
		return c.open(ctx)
	case "get":
		return c.get(ctx, l)
	case "contains":
		present, err := c.store.Contains(ctx, l.Key)
		l.Present = &present
		return err
	case "keys":
		keys, err := c.store.Keys(ctx)
		l.Keys = append([]string{}, keys...)
		return err
	case "usage":
		usage, err := c.store.Usage(ctx)
		keys := int(usage.Keys)
		l.Length = &keys
		return err
	case "verify_connection":
		return mapstore.Verify(ctx, c.setup.Map, mapstore.WithKubeconfig(c.setup.Kubeconfig), mapstore.WithNamespace(c.setup.Namespace))
	case "len":
		length, err := c.store.Len(ctx)
		l.Length = &length
		return err
	case "snapshot":
		return c.snapshot(ctx, l)
	case "refresh":
		return c.store.Refresh(ctx)
	}
	written, err := c.write(ctx, l)
	if err != nil {
		return err
	}
	l.Changed = &written.Changed
	if c.revision = written.Revision; c.revision != "" {
		l.Revision = &written.Revision
	}
	for _, op := range l.Ops {
		switch {
		case op[0] == "delete":
			c.seen[op[1]] = nil
		case op[0] != "truncate" && l.Verb != "update":
			value := toBytes(op[2])
			c.seen[op[1]] = &value
		}
	}
	return nil
}

func (c *client) open(ctx context.Context) (err error) {
	cache := mapstore.CacheNone
	if c.mode() == "exclusive" {
		cache = mapstore.CacheExclusive
	}
	store, err := mapstore.Open(ctx, c.setup.Map, mapstore.WithKubeconfig(c.setup.Kubeconfig),
		mapstore.WithNamespace(c.setup.Namespace), mapstore.WithCache(cache), mapstore.WithWriteBudget(mapstore.Unlimited))
	if err == nil {
		c.store = store
	}
	return err
}

func (c *client) get(ctx context.Context, l *line) error {
	value, err := c.store.Get(ctx, l.Key)
	present := !errors.Is(err, mapstore.ErrKeyNotFound)
	if present && err != nil {
		return err
	}
	l.Present = &present
	c.seen[l.Key] = nil
	if present {
		shown := told(value)
		l.Value, c.seen[l.Key] = &shown, &value
	}
	return nil
}

func (c *client) snapshot(ctx context.Context, l *line) error {
	snapshot, err := c.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	if c.revision = snapshot.Revision(); c.revision != "" {
		revision := c.revision
		l.Revision = &revision
	}
	l.Snapshot = map[string]string{}
	for key, value := range snapshot.All() {
		l.Snapshot[key] = told(value)
	}
	return nil
}

func (c *client) write(ctx context.Context, l *line) (mapstore.Written, error) {
	first := l.Ops[0]
	switch {
	case l.Verb == "set":
		return c.store.Set(ctx, first[1], toBytes(first[2]))
	case l.Verb == "force_set":
		return c.store.ForceSet(ctx, first[1], toBytes(first[2]))
	case l.Verb == "delete":
		return c.store.Delete(ctx, first[1])
	case l.Verb == "truncate":
		return c.store.Truncate(ctx)
	case l.Verb == "update":
		return c.update(ctx, l)
	case l.Verb == "compare_and_set" && len(l.Conditions) > 0:
		var expected []byte
		if l.Conditions[0][0] == "equals" {
			expected = toBytes(l.Conditions[0][2])
		}
		if first[0] == "delete" {
			return c.store.CompareAndDelete(ctx, first[1], expected)
		}
		return c.store.CompareAndSet(ctx, first[1], expected, toBytes(first[2]))
	}
	return c.store.Apply(ctx, batch(l))
}

func batch(l *line) *mapstore.Batch {
	b := mapstore.NewBatch()
	for _, condition := range l.Conditions {
		switch condition[0] {
		case "absent":
			b.IfAbsent(condition[1])
		case "present":
			b.IfPresent(condition[1])
		case "equals":
			b.IfEquals(condition[1], toBytes(condition[2]))
		default:
			b.IfRevision(condition[2])
		}
	}
	for _, op := range l.Ops {
		switch op[0] {
		case "set":
			b.Set(op[1], toBytes(op[2]))
		case "force_set":
			b.ForceSet(op[1], toBytes(op[2]))
		case "delete":
			b.Delete(op[1])
		default:
			b.Truncate()
		}
	}
	return b
}

// update makes the key's number one higher and puts the call's name beside it.
func (c *client) update(ctx context.Context, l *line) (mapstore.Written, error) {
	key := l.Ops[0][1]
	return c.store.Update(ctx, key, func(old []byte, present bool) ([]byte, error) {
		number := 0
		l.Conditions = [][]string{{"absent", key, ""}}
		if present {
			number, _ = strconv.Atoi(strings.Split(string(old), " ")[0])
			l.Conditions = [][]string{{"equals", key, told(old)}}
		}
		value := strconv.Itoa(number+1) + " " + l.ID
		l.Ops = [][]string{{"set", key, value}}
		return []byte(value), nil
	})
}

// text writes each byte as one character.
func text(value []byte) string {
	runes := make([]rune, len(value))
	for at, b := range value {
		runes[at] = rune(b)
	}
	return string(runes)
}

func toBytes(text string) []byte {
	value := make([]byte, 0, len(text))
	for _, r := range text {
		value = append(value, byte(r))
	}
	return value
}

// told shortens a long value to its beginning and its length.
func told(value []byte) string {
	const shown = 64
	if len(value) <= shown {
		return text(value)
	}
	return text(value[:shown]) + "~" + strconv.Itoa(len(value))
}
