package mapstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"mapstore"
)

// What Manager has of github.com/unrolled/mapstore, and (TestDifference...) what
// it has not: each of these tests is named in docs/go.md.

// inPlace sets the environment that the original looks at, and nothing else.
func inPlace(t *testing.T, kubeconfig, namespace string) {
	t.Helper()
	for _, name := range []string{"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"} {
		t.Setenv(name, "")
	}
	t.Setenv("MAPSTORE_CLUSTER_CONFIG_PATH", kubeconfig)
	t.Setenv("NAMESPACE", namespace)
}

func newManager(t *testing.T, cached bool) *mapstore.Manager {
	t.Helper()
	inPlace(t, shared.Kubeconfig(), "default")
	return managerHere(t, cached)
}

func managerHere(t *testing.T, cached bool) *mapstore.Manager {
	t.Helper()
	manager, err := mapstore.New(mapName(t), cached)
	must(t, err)
	t.Cleanup(func() { must(t, manager.Close()) })
	return manager
}

// both runs a test with and without the cache.
func both(t *testing.T, test func(t *testing.T, manager *mapstore.Manager)) {
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprint("cached-", cached), func(t *testing.T) { test(t, newManager(t, cached)) })
	}
}

type object struct {
	Metadata struct {
		ResourceVersion string
		Annotations     map[string]string
	}
	Data       map[string]string
	BinaryData map[string][]byte
	Code       int
}

func stored(t *testing.T) (o object) {
	t.Helper()
	f, _ := newFront(t)
	must(t, json.Unmarshal(f.send(http.MethodGet, maps+"/"+mapName(t), http.Header{}, nil), &o))
	return o
}

func somebody(t *testing.T, change string) {
	t.Helper()
	f, _ := newFront(t)
	f.merge(mapName(t), change)
}

func TestAManagerIsWhatTheOriginalIs(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		must(t, mapstore.VerifyConnection("probe"))
		var all mapstore.AdvancedInterface = manager
		raw, err := all.Raw()
		if raw == nil || len(raw) != 0 || err != nil {
			t.Fatal(raw, err)
		}
		must(t, all.Set("b", []byte("2")))
		must(t, all.ForceSet("a", []byte{0xff}))
		raw, err = all.Raw()
		must(t, err)
		if len(raw) != 2 || !bytes.Equal(raw["a"], []byte{0xff}) {
			t.Fatal(raw)
		}
		must(t, all.Delete("a"))
		must(t, all.Delete("a"))
		if value, err := all.Get("a"); value != nil || err != mapstore.ErrKeyNotFound {
			t.Fatal(value, err)
		}
		must(t, all.Truncate())
		keys, err := all.Keys()
		must(t, err)
		if keys == nil || len(keys) != 0 {
			t.Fatal(keys)
		}
	})
}

// TestAManagerSeesBinaryDataOnly: Truncate deleted text keys that the original never touched.
func TestAManagerSeesBinaryDataOnly(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		must(t, manager.Set("mine", []byte("1")))
		somebody(t, `{"data":{"text":"theirs"}}`)
		must(t, manager.Store().Refresh(ctx))
		keys, err := manager.Keys()
		must(t, err)
		_, absent := manager.Get("text")
		if fmt.Sprint(keys) != "[mine]" || absent != mapstore.ErrKeyNotFound {
			t.Fatal(keys, absent)
		}
		must(t, manager.Delete("text"))
		wants(t, manager.Set("text", []byte("2")), mapstore.ErrRejected)
		must(t, manager.Truncate())
		if o := stored(t); len(o.BinaryData) != 0 || o.Data["text"] != "theirs" {
			t.Fatal(o)
		}
	})
}

// TestAManagerLooksWhereTheOriginalDoes: an unchanged program could write to another cluster than before.
func TestAManagerLooksWhereTheOriginalDoes(t *testing.T) {
	home := t.TempDir()
	must(t, os.Mkdir(filepath.Join(home, ".kube"), 0o700))
	text, err := os.ReadFile(shared.Kubeconfig())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(home, ".kube", "config"), text, 0o600))
	t.Setenv("HOME", home)
	inPlace(t, "", "default")
	t.Setenv("KUBECONFIG", shared.Kubeconfig())
	_, err = mapstore.New("x", false)
	wants(t, err, mapstore.ErrConfig)
	wants(t, mapstore.VerifyConnection("x"), mapstore.ErrConfig)
	// The namespace of the kubeconfig's context doesn't count.
	inPlace(t, shared.Kubeconfig(), " ")
	_, err = mapstore.New("x", false)
	wants(t, err, mapstore.ErrConfig)
	inPlace(t, shared.Kubeconfig(), " default\n")
	must(t, managerHere(t, true).Set("k", nil))
	if o := stored(t); o.BinaryData["k"] == nil {
		t.Fatal(o)
	}
}

func TestAKeyThatCanNotExistIsNotThere(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		for _, key := range []string{"", "a/b", "..", "\xff", strings.Repeat("k", 254)} {
			if value, err := manager.Get(key); value != nil || err != mapstore.ErrKeyNotFound {
				t.Errorf("%q: %v %v", key, value, err)
			}
			must(t, manager.Delete(key))
			wants(t, manager.Set(key, nil), mapstore.ErrInvalidArgument)
		}
	})
}

func TestDifferenceAKeyThatCanNotExistAsksNobody(t *testing.T) {
	inPlace(t, blackHole(t), "default")
	manager := managerHere(t, false)
	within(t, "Get and Delete", 5*time.Second, func() {
		if _, err := manager.Get("a/b"); err != mapstore.ErrKeyNotFound {
			t.Error(err)
		}
		must(t, manager.Delete("a/b"))
	})
}

func TestDifferenceOtherWritersKeysStay(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		must(t, manager.Set("a", []byte("1")))
		somebody(t, `{"binaryData":{"theirs":"MQ=="}}`)
		must(t, manager.Set("b", []byte("1")))
		must(t, manager.Delete("a"))
		if o := stored(t); len(o.BinaryData) != 2 || o.BinaryData["theirs"] == nil {
			t.Fatal(o)
		}
	})
}

func TestDifferenceConcurrentWritersAllSucceed(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		var group sync.WaitGroup
		for number := range 30 {
			group.Go(func() { must(t, manager.Set(fmt.Sprint("k", number), nil)) })
			group.Go(func() { somebody(t, fmt.Sprintf(`{"binaryData":{"o%d":"MQ=="}}`, number)) })
		}
		group.Wait()
		if o := stored(t); len(o.BinaryData) < 30 {
			t.Fatal(o)
		}
	})
}

func TestDifferenceOnlySetMakesAMap(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		must(t, manager.Delete("k"))
		must(t, manager.Truncate())
		if o := stored(t); o.Code != http.StatusNotFound {
			t.Fatal("the map was made: ", o)
		}
		must(t, manager.Set("k", nil))
		if o := stored(t); o.Code != 0 {
			t.Fatal(o)
		}
	})
}

func TestDifferenceVerifyConnectionChangesNothing(t *testing.T) {
	manager := newManager(t, false)
	must(t, manager.Set("test", []byte("mine")))
	before := stored(t)
	must(t, mapstore.VerifyConnection(mapName(t)))
	if after := stored(t); !reflect.DeepEqual(before, after) {
		t.Fatal(before, after)
	}
}

func TestDifferenceTheConfigurationIsReadByEachNew(t *testing.T) {
	newManager(t, false)
	t.Setenv("MAPSTORE_CLUSTER_CONFIG_PATH", filepath.Join(t.TempDir(), "missing"))
	_, err := mapstore.New(mapName(t), false)
	wants(t, err, mapstore.ErrConfig)
}

func TestDifferenceNewChecksTheName(t *testing.T) {
	inPlace(t, shared.Kubeconfig(), "default")
	_, err := mapstore.New("Not_A_Name", false)
	wants(t, err, mapstore.ErrInvalidArgument)
}

func TestDifferenceNewWithACacheMakesNoMap(t *testing.T) {
	newManager(t, true)
	if o := stored(t); o.Code != http.StatusNotFound {
		t.Fatal("the map was made: ", o)
	}
}

func TestDifferenceBytesAreCopied(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		given := []byte("value")
		must(t, manager.Set("k", given))
		got, err := manager.Get("k")
		must(t, err)
		raw, err := manager.Raw()
		must(t, err)
		given[0], got[0], raw["k"][0] = 'x', 'y', 'z'
		raw["more"] = nil
		value, err := manager.Get("k")
		must(t, err)
		keys, err := manager.Keys()
		must(t, err)
		if string(value) != "value" || len(keys) != 1 {
			t.Fatalf("%s %v", value, keys)
		}
	})
}

func TestDifferenceKeysAreSorted(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		for number := range 30 {
			must(t, manager.Set(fmt.Sprint("k", number), nil))
		}
		keys, err := manager.Keys()
		if err != nil || len(keys) != 30 || !sort.StringsAreSorted(keys) {
			t.Fatal(keys, err)
		}
	})
}

func TestDifferenceErrorsAreOfThisPackage(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		err := manager.Set("k", make([]byte, 1<<20+1))
		var e *mapstore.Error
		if !errors.As(err, &e) || e.Kind != mapstore.KindTooLarge {
			t.Fatal(err)
		}
		if text := mapstore.ErrKeyNotFound.Error(); text != "mapstore: there is no such key" {
			t.Fatal(text)
		}
	})
}

func TestDifferenceARefusedValueIsNotInTheCache(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		wants(t, manager.Set("large", make([]byte, 1<<20+1)), mapstore.ErrTooLarge)
		if _, err := manager.Get("large"); err != mapstore.ErrKeyNotFound {
			t.Fatal(err)
		}
		must(t, manager.Set("k", nil))
	})
}

func TestDifferenceAForceSetMakesARevision(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		must(t, manager.Set("k", []byte("1")))
		before := stored(t).Metadata
		must(t, manager.ForceSet("k", []byte("1")))
		after := stored(t).Metadata
		if before.ResourceVersion == after.ResourceVersion || after.Annotations["mapstore/last-write"] == "" {
			t.Fatal(before, after)
		}
	})
}

func TestDifferenceACachedDeleteOfAnUnknownKeySendsNothing(t *testing.T) {
	manager := newManager(t, true)
	must(t, manager.Set("k", nil))
	somebody(t, `{"binaryData":{"theirs":"MQ=="}}`)
	must(t, manager.Delete("theirs"))
	if o := stored(t); o.BinaryData["theirs"] == nil {
		t.Fatal(o)
	}
}

func TestDifferenceADeletedMapStaysDeleted(t *testing.T) {
	manager := newManager(t, true)
	must(t, manager.Set("old", nil))
	f, _ := newFront(t)
	f.send(http.MethodDelete, maps+"/"+mapName(t), http.Header{}, nil)
	must(t, manager.Set("new", nil))
	if o := stored(t); len(o.BinaryData) != 1 {
		t.Fatal("the cache was written back: ", o)
	}
}

func TestDifferenceAnEmptyValueIsNotNil(t *testing.T) {
	both(t, func(t *testing.T, manager *mapstore.Manager) {
		must(t, manager.Set("k", nil))
		value, err := manager.Get("k")
		if err != nil || value == nil || len(value) != 0 {
			t.Fatal(value, err)
		}
	})
}

func TestDifferenceAManagerIsNoMutex(t *testing.T) {
	kind := reflect.TypeFor[*mapstore.Manager]()
	for _, method := range []string{"Lock", "Unlock", "RLock", "RUnlock"} {
		if _, has := kind.MethodByName(method); has {
			t.Errorf("it has %s", method)
		}
	}
}

func TestDifferenceReadsGoOnBesideAWrite(t *testing.T) {
	f, kubeconfig := newFront(t)
	inPlace(t, kubeconfig, "default")
	manager := managerHere(t, true)
	must(t, manager.Set("k", []byte("1")))
	f.silent.Store(true)
	written := make(chan error)
	go func() { written <- manager.Set("k", []byte("2")) }()
	time.Sleep(50 * time.Millisecond)
	within(t, "Get", 5*time.Second, func() {
		value, err := manager.Get("k")
		must(t, err)
		if string(value) != "1" {
			t.Errorf("%s", value)
		}
	})
	must(t, manager.Close())
	wants(t, <-written, mapstore.ErrClosed)
}

func TestDifferenceAFailingServerIsAskedAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	must(t, listener.Close())
	path := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(path, []byte(kubeconfigOf("http://"+address)), 0o600))
	inPlace(t, path, "default")
	manager := managerHere(t, false)
	done := make(chan error, 1)
	go func() { _, err := manager.Get("k"); done <- err }()
	select {
	case err := <-done:
		t.Fatal("it gave up at once: ", err)
	case <-time.After(300 * time.Millisecond):
	}
	must(t, manager.Close())
	wants(t, <-done, mapstore.ErrClosed)
}

func TestDifferenceNothingIsAsSlowAsTheClientsRateLimit(t *testing.T) {
	manager := newManager(t, false)
	started := time.Now()
	for number := range 60 {
		must(t, manager.Set("k", fmt.Append(nil, number)))
	}
	// The original's three requests a set, 5 a second after the first 10, are 34 s.
	if took := time.Since(started); took > 20*time.Second {
		t.Fatal(took)
	}
	usage, err := manager.Store().Usage(context.Background())
	if err != nil || usage.BudgetLimit != 128<<20 {
		t.Fatal(usage, err)
	}
}

func TestDifferenceNoAuthProviders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := strings.Replace(kubeconfigOf("https://127.0.0.1:1"), `"user":{}`, `"user":{"auth-provider":{"name":"oidc"}}`, 1)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	inPlace(t, path, "default")
	_, err := mapstore.New("x", false)
	wants(t, err, mapstore.ErrConfig)
}

func TestDifferenceACallOfAManagerEnds(t *testing.T) {
	inPlace(t, blackHole(t), "default")
	manager := managerHere(t, false)
	started := time.Now()
	_, err := manager.Get("k")
	wants(t, err, mapstore.ErrDeadline)
	if took := time.Since(started); took < 9*time.Second || took > 15*time.Second {
		t.Fatal(took)
	}
}
