package mapstore_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mapstore"
	"mapstore/mapstoretest"
)

var (
	shared *mapstoretest.Server
	ctx    = context.Background()
)

func TestMain(m *testing.M) {
	server, err := mapstoretest.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared = server
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

func open(t testing.TB, options ...mapstore.Option) *mapstore.Store {
	t.Helper()
	options = append([]mapstore.Option{mapstore.WithKubeconfig(shared.Kubeconfig())}, options...)
	store, err := mapstore.Open(ctx, mapName(t), options...)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

// mapName is a name for a map of the test's own.
func mapName(t testing.TB) string {
	return strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("expected %v, got %v", kind, err)
	}
}

var caches = map[string]mapstore.Cache{"none": mapstore.CacheNone, "exclusive": mapstore.CacheExclusive}

func TestEverything(t *testing.T) {
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			store := open(t, mapstore.WithCache(cache))
			_, err := store.Get(ctx, "a")
			wants(t, err, mapstore.ErrKeyNotFound)
			written, err := store.Set(ctx, "a", []byte("1"))
			must(t, err)
			again, err := store.Set(ctx, "a", []byte("1"))
			must(t, err)
			if !written.Changed || again.Changed || again.Revision != written.Revision {
				t.Fatal(written, again)
			}
			_, err = store.Set(ctx, "empty", nil)
			must(t, err)
			value, err := store.AppendGet(ctx, []byte("x"), "a")
			must(t, err)
			empty, err := store.Get(ctx, "empty")
			must(t, err)
			if string(value) != "x1" || empty == nil || len(empty) != 0 {
				t.Fatalf("%q %v", value, empty)
			}
			large := bytes.Repeat([]byte("l"), 100_000)
			_, err = store.Set(ctx, "large", large)
			must(t, err)
			value, err = store.Get(ctx, "large")
			must(t, err)
			if !bytes.Equal(value, large) {
				t.Fatal(len(value))
			}
			keys, err := store.Keys(ctx)
			must(t, err)
			if fmt.Sprint(keys) != "[a empty large]" {
				t.Fatal(keys)
			}
			usage, err := store.Usage(ctx)
			must(t, err)
			if usage.Keys != 3 || usage.ValueBytes != 100_001 || usage.BudgetLimit != 128<<20 {
				t.Fatalf("%+v", usage)
			}
			_, err = store.Delete(ctx, "large")
			must(t, err)
			present, err := store.Contains(ctx, "large")
			must(t, err)
			if present {
				t.Fatal("it is still there")
			}
			_, err = store.Truncate(ctx)
			must(t, err)
			length, err := store.Len(ctx)
			must(t, err)
			if length != 0 {
				t.Fatal(length)
			}
		})
	}
}

func TestBatchesSwapsAndUpdates(t *testing.T) {
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			store := open(t, mapstore.WithCache(cache))
			batch := mapstore.NewBatch().IfAbsent("lock").Set("lock", []byte("me")).Set("x", nil).Delete("x")
			written, err := store.Apply(ctx, batch)
			must(t, err)
			_, err = store.Apply(ctx, batch)
			wants(t, err, mapstore.ErrConflict)
			_, err = store.Apply(ctx, mapstore.NewBatch().IfRevision(written.Revision).Truncate().Set("n", []byte("0")))
			must(t, err)
			_, err = store.Apply(ctx, mapstore.NewBatch().Set("a/b", nil))
			wants(t, err, mapstore.ErrInvalidArgument)
			_, err = store.CompareAndSet(ctx, "n", []byte("1"), []byte("2"))
			wants(t, err, mapstore.ErrConflict)
			_, err = store.CompareAndSet(ctx, "n", nil, []byte("2"))
			wants(t, err, mapstore.ErrConflict)
			_, err = store.CompareAndSet(ctx, "new", nil, []byte{})
			must(t, err)
			_, err = store.CompareAndDelete(ctx, "new", []byte{})
			must(t, err)

			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					for range 10 {
						_, err := store.Update(ctx, "n", func(old []byte, _ bool) ([]byte, error) {
							number, err := strconv.Atoi(string(old))
							return []byte(strconv.Itoa(number + 1)), err
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			group.Wait()
			value, err := store.Get(ctx, "n")
			must(t, err)
			if string(value) != "80" {
				t.Fatalf("80 increments made %s", value)
			}
			refusal := errors.New("not now")
			_, err = store.Update(ctx, "n", func([]byte, bool) ([]byte, error) { return nil, refusal })
			wants(t, err, refusal)
		})
	}
}

// blackHole accepts and never answers.
func blackHole(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		var held []net.Conn
		for {
			connection, err := listener.Accept()
			if err != nil {
				for _, connection := range held {
					connection.Close()
				}
				return
			}
			held = append(held, connection)
		}
	}()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(path, []byte(kubeconfigOf("http://"+listener.Addr().String())), 0o600))
	return path
}

// kubeconfigOf a server that wants no credentials.
func kubeconfigOf(server string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c",
		"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
		"clusters":[{"name":"c","cluster":{"server":"%s"}}],"users":[{"name":"u","user":{}}]}`, server)
}

func TestACancelledContextReturnsWithin100ms(t *testing.T) {
	store, err := mapstore.Open(ctx, "hole", mapstore.WithKubeconfig(blackHole(t)))
	must(t, err)
	defer store.Close()
	calls := map[string]func(context.Context) error{
		"get": func(ctx context.Context) error { _, err := store.Get(ctx, "k"); return err },
		"set": func(ctx context.Context) error { _, err := store.Set(ctx, "k", nil); return err },
		"update": func(ctx context.Context) error {
			_, err := store.Update(ctx, "k", func([]byte, bool) ([]byte, error) { return nil, nil })
			return err
		},
	}
	for name, call := range calls {
		cancelled, cancel := context.WithCancel(ctx)
		var at time.Time
		time.AfterFunc(50*time.Millisecond, func() { at = time.Now(); cancel() })
		err := call(cancelled)
		if late := time.Since(at); late > 100*time.Millisecond {
			t.Errorf("%s came back %v after it was cancelled", name, late)
		}
		wants(t, err, context.Canceled)
		wants(t, err, mapstore.ErrCancelled)

		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		started := time.Now()
		err = call(short)
		if took := time.Since(started); took > 150*time.Millisecond {
			t.Errorf("%s took %v of 50 ms", name, took)
		}
		wants(t, err, context.DeadlineExceeded)
		wants(t, err, mapstore.ErrDeadline)
		cancel()
	}
}

func TestCloseBesideCalls(t *testing.T) {
	for range 20 {
		store, err := mapstore.Open(ctx, "closing", mapstore.WithKubeconfig(shared.Kubeconfig()))
		must(t, err)
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for {
					_, err := store.Set(ctx, fmt.Sprint("k", worker), []byte("v"))
					if errors.Is(err, mapstore.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		time.Sleep(3 * time.Millisecond)
		must(t, store.Close())
		must(t, store.Close())
		group.Wait()
		_, err = store.Get(ctx, "k1")
		wants(t, err, mapstore.ErrClosed)
	}
}

func TestAForgottenStoreIsFreed(t *testing.T) {
	before := settledDescriptors(t)
	for number := range 20 {
		_, err := mapstore.Open(ctx, "forgotten",
			mapstore.WithKubeconfig(ownConnection(t, number)), mapstore.WithCache(mapstore.CacheExclusive))
		must(t, err)
	}
	if during := descriptors(t); during < before+20 {
		t.Fatalf("%d descriptors with 20 stores, %d before", during, before)
	}
	for end := time.Now().Add(10 * time.Second); descriptors(t) > before+3; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, %d before", descriptors(t), before)
		}
	}
}

// ownConnection is the server's kubeconfig, with the authority in a file of its
// own: stores share a connection only if all of what was configured is the same.
func ownConnection(t *testing.T, number int) string {
	text, err := os.ReadFile(shared.Kubeconfig())
	must(t, err)
	field := regexp.MustCompile(`certificate-authority-data: (\S+)`)
	authority, err := base64.StdEncoding.DecodeString(string(field.FindSubmatch(text)[1]))
	must(t, err)
	dir := t.TempDir()
	path, file := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, fmt.Sprintf("ca-%d.pem", number))
	must(t, os.WriteFile(file, authority, 0o600))
	must(t, os.WriteFile(path, field.ReplaceAll(text, []byte("certificate-authority: "+file)), 0o600))
	return path
}

// settledDescriptors waits for what earlier tests still close.
func settledDescriptors(t testing.TB) int {
	last := descriptors(t)
	for end, since := time.Now().Add(10*time.Second), time.Now(); time.Since(since) < 200*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if now := descriptors(t); now != last {
			last, since = now, time.Now()
		}
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, and never the same for long", last)
		}
	}
	return last
}

func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func threads(t testing.TB) int { return status(t, "Threads:") }

func status(t testing.TB, field string) int {
	text, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "\n"+field)
	number, err := strconv.Atoi(strings.Fields(rest)[0])
	must(t, err)
	return number
}

func TestTwentyThousandSetsAtOnce(t *testing.T) {
	store := open(t, mapstore.WithTimeout(2*time.Minute), mapstore.WithWriteBudget(mapstore.Unlimited))
	most, done := 0, make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				most = max(most, threads(t))
			}
		}
	})
	var group sync.WaitGroup
	for number := range 20_000 {
		group.Go(func() {
			if _, err := store.Set(ctx, fmt.Sprint("k", number%100), []byte(strconv.Itoa(number))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	close(done)
	watching.Wait()
	t.Logf("at most %d threads", most)
	if most > 300 {
		t.Fatalf("%d threads", most)
	}
}

func TestAMillionGetsLeaveTheMemoryWhereItWas(t *testing.T) {
	store := open(t, mapstore.WithCache(mapstore.CacheExclusive))
	_, err := store.Set(ctx, "k", bytes.Repeat([]byte("v"), 100))
	must(t, err)
	var buffer []byte
	get := func(times int) {
		for range times {
			if buffer, err = store.AppendGet(ctx, buffer[:0], "k"); err != nil {
				t.Fatal(err)
			}
			if _, err = store.Get(ctx, "missing"); !errors.Is(err, mapstore.ErrKeyNotFound) {
				t.Fatal(err)
			}
		}
	}
	// What other tests left would be collected in between, and the heap grow with it.
	debug.FreeOSMemory()
	get(100_000)
	debug.FreeOSMemory()
	before := status(t, "VmRSS:")
	get(1_000_000)
	debug.FreeOSMemory()
	after := status(t, "VmRSS:")
	t.Logf("%d kB before, %d kB after", before, after)
	if after > before+4096 {
		t.Fatalf("%d kB before, %d kB after", before, after)
	}
	if allocations := testing.AllocsPerRun(1000, func() { buffer, _ = store.AppendGet(ctx, buffer[:0], "k") }); allocations > 0 {
		t.Fatalf("%v allocations", allocations)
	}
}

func TestKeysContainsAndLenCopyNoValues(t *testing.T) {
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			store := open(t, mapstore.WithCache(cache))
			batch := mapstore.NewBatch()
			for number := range 20 {
				batch.Set(fmt.Sprint("k", number), make([]byte, 40_000))
			}
			_, err := store.Apply(ctx, batch)
			must(t, err)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 10 {
				keys, err := store.Keys(ctx)
				must(t, err)
				present, err := store.Contains(ctx, "k1")
				must(t, err)
				length, err := store.Len(ctx)
				must(t, err)
				if len(keys) != 20 || !present || length != 20 {
					t.Fatal(keys, present, length)
				}
			}
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 400_000 {
				t.Fatalf("%d bytes for 30 calls, and one copy of the values is 800000", allocated)
			}
		})
	}
}

func TestAnErrorSaysAll(t *testing.T) {
	store := open(t)
	_, err := store.Set(ctx, "a/b", nil)
	var e *mapstore.Error
	if !errors.As(err, &e) || e.Kind != mapstore.KindInvalidArgument || !strings.Contains(e.Subject, "a/b") || e.Retryable {
		t.Fatalf("%+v", err)
	}
	_, err = store.Set(ctx, "k", make([]byte, 1<<20+1))
	if !errors.As(err, &e) || e.Kind.String() != "TooLarge" || e.Used != 1<<20+1 || e.Limit != 1<<20 {
		t.Fatalf("%+v", err)
	}
}
