package mapstore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mapstore"
)

// front stands before the server and loses the answers of writes.
type front struct {
	api    *url.URL
	bearer string
	direct *http.Transport
	proxy  *httputil.ReverseProxy
	// Between a write that is applied and its answer, which is lost.
	meanwhile atomic.Pointer[func()]
	// Nothing is answered any more.
	silent atomic.Bool
}

func newFront(t *testing.T) (f *front, kubeconfig string) {
	text, err := os.ReadFile(shared.Kubeconfig())
	must(t, err)
	found := func(field string) string {
		return string(regexp.MustCompile(field + `: (\S+)`).FindSubmatch(text)[1])
	}
	api, err := url.Parse(found("server"))
	must(t, err)
	f = &front{api: api, bearer: "Bearer " + found("token"), direct: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // its certificate isn't what is tested
	}}
	f.proxy = httputil.NewSingleHostReverseProxy(api)
	f.proxy.Transport = f.direct
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, []byte(kubeconfigOf(server.URL)), 0o600))
	return f, kubeconfig
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.silent.Load() {
		_, _ = io.ReadAll(r.Body) // only then is it noticed that the client has gone
		<-r.Context().Done()
		return
	}
	r.Header.Set("Authorization", f.bearer)
	if r.URL.Query().Get("watch") != "" || strings.HasSuffix(r.URL.Path, "/configmaps") && r.Method == http.MethodGet {
		// Without history, what became of a write that was overwritten can't be told.
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
		return
	}
	if r.Method == http.MethodPatch {
		if meanwhile := f.meanwhile.Swap(nil); meanwhile != nil {
			body, _ := io.ReadAll(r.Body)
			f.send(r.Method, r.URL.RequestURI(), r.Header, body)
			(*meanwhile)()
			connection, _, _ := w.(http.Hijacker).Hijack()
			connection.Close()
			return
		}
	}
	f.proxy.ServeHTTP(w, r)
}

// send is somebody else's request.
func (f *front) send(method, path string, header http.Header, body []byte) []byte {
	request, err := http.NewRequest(method, f.api.Scheme+"://"+f.api.Host+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	request.Header = header.Clone()
	request.Header.Set("Authorization", f.bearer)
	response, err := f.direct.RoundTrip(request)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	return answer
}

const maps = "/api/v1/namespaces/default/configmaps"

// merge is somebody else's change of a map: of everything but metadata.
func (f *front) merge(name, change string) {
	f.send(http.MethodPatch, maps+"/"+name, http.Header{"Content-Type": {"application/merge-patch+json"}}, []byte(change))
}

// TestAnUnknownOutcomeIsNoDeadline: after milliseconds of a minute it was
// context.DeadlineExceeded, while the context went on.
func TestAnUnknownOutcomeIsNoDeadline(t *testing.T) {
	f, kubeconfig := newFront(t)
	store, err := mapstore.Open(ctx, "unknown", mapstore.WithKubeconfig(kubeconfig))
	must(t, err)
	defer store.Close()
	_, err = store.Set(ctx, "k", []byte("0"))
	must(t, err)
	minute, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for number, c := range []context.Context{ctx, minute} {
		overwrite := func() {
			f.merge("unknown", `{"metadata":{"annotations":{"mapstore/last-write":"another"}},"binaryData":{"k":"b3RoZXI="}}`)
		}
		f.meanwhile.Store(&overwrite)
		_, err := store.Set(c, "k", fmt.Append(nil, "mine", number))
		wants(t, err, mapstore.ErrOutcomeUnknown)
		var e *mapstore.Error
		if errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Timeout() || c.Err() != nil {
			t.Fatal("it claims that time is over: ", err)
		}
	}
}

func TestAnUnknownOutcomeAtTheDeadlineIsBoth(t *testing.T) {
	f, kubeconfig := newFront(t)
	store, err := mapstore.Open(ctx, "unknown-late", mapstore.WithKubeconfig(kubeconfig))
	must(t, err)
	defer store.Close()
	_, err = store.Set(ctx, "k", []byte("0"))
	must(t, err)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	silence := func() { f.silent.Store(true) }
	f.meanwhile.Store(&silence)
	_, err = store.ForceSet(short, "k", []byte("mine"))
	wants(t, err, mapstore.ErrOutcomeUnknown)
	wants(t, err, context.DeadlineExceeded)
}
