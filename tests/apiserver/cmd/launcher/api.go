package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// object is a Kubernetes object or a part of one, as JSON has it.
type object map[string]any

// api is a client of the server for one user.
type api struct {
	server string // https://127.0.0.1:PORT
	token  string
	http   *http.Client
}

const requestTimeout = 10 * time.Second

func newAPI(server, caPath, token string) (*api, error) {
	ca, err := os.ReadFile(caPath)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", caPath)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return &api{server: server, token: token, http: &http.Client{Transport: transport, Timeout: requestTimeout}}, nil
}

// forget drops idle connections: after a restart they are dead.
func (a *api) forget() { a.http.CloseIdleConnections() }

func (a *api) get(ctx context.Context, path string, out any) error {
	return a.do(ctx, http.MethodGet, path, "", nil, out)
}

func (a *api) post(ctx context.Context, path string, in, out any) error {
	return a.do(ctx, http.MethodPost, path, "application/json", in, out)
}

func (a *api) mergePatch(ctx context.Context, path string, in any) error {
	return a.do(ctx, http.MethodPatch, path, "application/merge-patch+json", in, nil)
}

func (a *api) delete(ctx context.Context, path string) error {
	return a.do(ctx, http.MethodDelete, path, "", nil, nil)
}

// put makes the object in the collection, or gives an existing one of that name the same fields.
func (a *api) put(ctx context.Context, collection, name string, in object) error {
	metadata := object{"name": name}
	in["metadata"] = metadata
	err := a.post(ctx, collection, in, nil)
	if refused := (*refusal)(nil); errors.As(err, &refused) && refused.Reason == "AlreadyExists" {
		return a.mergePatch(ctx, collection+"/"+name, in)
	}
	return err
}

type cause struct{ Reason, Message string }

// refusal is an answer with a status of 400 or more.
type refusal struct {
	Code    int
	Message string
	Reason  string
	Details struct {
		Causes []cause
	}
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Code, r.Reason, r.Message) }

// do sends one request. in is its JSON body, nil for none; out takes the answer's, nil for none.
func (a *api) do(ctx context.Context, method, path, contentType string, in, out any) error {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Accept", "application/json")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := a.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 400 {
		return newRefusal(response.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// newRefusal reads a Status object, or keeps the text of an answer that is none.
func newRefusal(code int, body []byte) *refusal {
	r := &refusal{}
	if json.Unmarshal(body, r) != nil || r.Message == "" {
		r.Message = string(bytes.TrimSpace(body))
	}
	r.Code = code
	return r
}

// effectPatience bounds the wait for the server's caches to see what was just written.
const effectPatience = 20 * time.Second

// eventually tries until probe is content, and otherwise says what it waited for and why in vain.
func eventually(ctx context.Context, what string, probe func() error) error {
	deadline := time.Now().Add(effectPatience)
	for {
		err := probe()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s, even after %s: %w", what, effectPatience, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// tryCreate asks the server whether it would create a ConfigMap with this data; nothing is stored.
func (a *api) tryCreate(ctx context.Context, namespace string, data object) error {
	configMap := object{
		"metadata": object{"name": "launcher-probe"},
		"data":     data,
	}
	return a.post(ctx, "/api/v1/namespaces/"+namespace+"/configmaps?dryRun=All", configMap, nil)
}

// mustRefuse turns the expected refusal into success, and anything else into an error.
func mustRefuse(err error, expected func(*refusal) bool) error {
	if refused := (*refusal)(nil); errors.As(err, &refused) && expected(refused) {
		return nil
	}
	if err == nil {
		return errors.New("a ConfigMap would be created")
	}
	return err
}
