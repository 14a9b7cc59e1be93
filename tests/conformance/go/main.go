// The Go runner: the line protocol of tests/conformance over the Go package. A
// pure adapter: no defaults, no checks, no retries.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"mapstore"
)

type token struct {
	ctx    context.Context
	cancel context.CancelFunc
}

type runner struct {
	stores map[int]*mapstore.Store
	tokens map[int]token
	batch  *mapstore.Batch
}

func main() {
	r := runner{map[int]*mapstore.Store{}, map[int]token{}, mapstore.NewBatch()}
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			os.Exit(1)
		}
		request, err := parse(strings.TrimSuffix(line, "\n"))
		if request.verb == "quit" {
			return
		}
		answer := "bad line"
		if err == nil {
			answer = r.answer(request)
		}
		fmt.Fprintln(out, answer)
		out.Flush()
	}
}

func (r *runner) answer(request request) string {
	answer, err := r.run(request)
	var refused *mapstore.Error
	switch {
	case errors.As(err, &refused):
		return fmt.Sprintf("err code=%d name=%s status=%d retryable=%d used=%d limit=%d subject=%s message=%s",
			refused.Kind, refused.Kind, refused.HTTPStatus, bit(refused.Retryable), refused.Used, refused.Limit,
			encode([]byte(refused.Subject)), encode([]byte(refused.Message)))
	case err != nil:
		return "bad " + err.Error()
	default:
		return "ok" + answer
	}
}

func (r *runner) run(q request) (string, error) {
	switch q.verb {
	case "open", "verify_connection":
		return "", r.open(q)
	case "cancel_new", "cancel":
		return "", r.token(q)
	case "batch":
		return "", r.add(q)
	}
	number, err := q.number("store")
	if err != nil {
		return "", err
	}
	store := r.stores[number]
	if store == nil {
		return "", errors.New("no such store")
	}
	if q.verb == "free" {
		delete(r.stores, number)
		return "", store.Close()
	}
	ctx, done, err := r.context(q)
	if err != nil {
		return "", err
	}
	defer done()
	if q.verb == "apply" {
		return wrote(store.Apply(ctx, r.batch))
	}
	return onStore(ctx, store, q)
}

// add adds an operation to the batch that the next apply applies.
func (r *runner) add(q request) error {
	key, value := q.fields["key"], []byte(q.fields["value"])
	switch op := q.fields["op"]; op {
	case "new":
		r.batch = mapstore.NewBatch()
	case "set":
		r.batch.Set(key, value)
	case "force_set":
		r.batch.ForceSet(key, value)
	case "delete":
		r.batch.Delete(key)
	case "truncate":
		r.batch.Truncate()
	case "if_absent":
		r.batch.IfAbsent(key)
	case "if_present":
		r.batch.IfPresent(key)
	case "if_equals":
		r.batch.IfEquals(key, value)
	case "if_revision":
		r.batch.IfRevision(q.fields["revision"])
	default:
		return errors.New("no op " + op)
	}
	return nil
}

func (r *runner) token(q request) error {
	number, err := q.number("token")
	if err != nil {
		return err
	}
	if q.verb == "cancel" {
		if r.tokens[number].cancel == nil {
			return errors.New("no such token")
		}
		r.tokens[number].cancel()
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.tokens[number] = token{ctx, cancel}
	return nil
}

// A timeout is a context's deadline. One that no context can have (past, or
// farther than a day) can be said by a store's option only, and is.
func (r *runner) context(q request) (context.Context, func(), error) {
	ctx := context.Background()
	if _, ok := q.fields["cancel"]; ok {
		number, err := q.number("cancel")
		if err != nil || r.tokens[number].ctx == nil {
			return nil, nil, errors.New("no such token")
		}
		ctx = r.tokens[number].ctx
	}
	if text, ok := q.fields["timeout_ms"]; ok && q.verb != "open" && q.verb != "verify_connection" {
		timeout := duration(text)
		if timeout <= 0 || timeout > 24*time.Hour {
			return nil, nil, mapstore.Verify(ctx, "settings", mapstore.WithTimeout(timeout))
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		return ctx, cancel, nil
	}
	return ctx, func() {}, nil
}

func (r *runner) open(q request) error {
	ctx, done, err := r.context(q)
	if err != nil {
		return err
	}
	defer done()
	options := optionsOf(q)
	if q.verb == "verify_connection" {
		return mapstore.Verify(ctx, q.fields["name"], options...)
	}
	number, err := q.number("store")
	if err != nil || r.stores[number] != nil {
		return errors.New("no store number, or one in use")
	}
	store, err := mapstore.Open(ctx, q.fields["name"], options...)
	if err != nil {
		return err
	}
	r.stores[number] = store
	return nil
}

func optionsOf(q request) (options []mapstore.Option) {
	texts := map[string]func(string) mapstore.Option{
		"namespace": mapstore.WithNamespace, "kubeconfig": mapstore.WithKubeconfig, "context": mapstore.WithContext,
	}
	for name, option := range texts {
		if text, ok := q.fields[name]; ok {
			options = append(options, option(text))
		}
	}
	if cache, ok := q.fields["cache"]; ok {
		mode := mapstore.CacheNone
		if cache == "exclusive" {
			mode = mapstore.CacheExclusive
		}
		options = append(options, mapstore.WithCache(mode))
	}
	if text, ok := q.fields["timeout_ms"]; ok {
		options = append(options, mapstore.WithTimeout(duration(text)))
	}
	if text, ok := q.fields["text_values"]; ok {
		options = append(options, mapstore.WithTextValues(text == "1"))
	}
	if text, ok := q.fields["binary_only"]; ok {
		options = append(options, mapstore.WithBinaryOnly(text == "1"))
	}
	if text, ok := q.fields["strict_lookup"]; ok {
		options = append(options, mapstore.WithStrictLookup(text == "1"))
	}
	return options
}

// duration of a text in milliseconds; the longest there is if it is longer.
func duration(text string) time.Duration {
	milliseconds, _ := strconv.ParseInt(text, 10, 64)
	return time.Duration(min(milliseconds, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}
