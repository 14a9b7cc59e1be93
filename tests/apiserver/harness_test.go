// Package apiserver_test proves what cmd/launcher promises, on the binaries that build.sh made:
//
//	MAPSTORE_APISERVER=/path/to/apiserver go test .
//
// launcher and kubectl are taken from the same directory.
package apiserver_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shared is one server for the tests that don't stop it.
var shared *launcher

func TestMain(m *testing.M) {
	if os.Getenv(runnerEnv) != "" {
		runRunner()
	}
	if binary() == "" {
		fmt.Fprintln(os.Stderr, "MAPSTORE_APISERVER is not set: run build.sh and set it to the path of the apiserver binary it made")
		os.Exit(1)
	}
	var err error
	if shared, err = start(binary()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, "the launcher did not end well:", err)
		status = 1
	}
	os.Exit(status)
}

func binary() string              { return os.Getenv("MAPSTORE_APISERVER") }
func sibling(name string) string  { return filepath.Join(filepath.Dir(binary()), name) }
func configMaps(ns string) string { return "/api/v1/namespaces/" + ns + "/configmaps" }

// launcher is a running cmd/launcher with its first line.
type launcher struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	ready struct {
		Event, Reason, Kubeconfig, Server, Token, Version, Dir string
		CAFile                                                 string `json:"ca_file"`
		Pid                                                    int
	}
}

// start returns when the launcher has said whether the server is ready.
func start(server string, args ...string) (*launcher, error) {
	l := &launcher{cmd: exec.Command(sibling("launcher"), append([]string{"--server", server}, args...)...)}
	l.cmd.Stderr = os.Stderr
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	l.out = bufio.NewReader(out)
	line, err := l.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the launcher said nothing: %w", err)
	}
	if err := json.Unmarshal(line, &l.ready); err != nil {
		return nil, fmt.Errorf("the launcher said %q: %w", line, err)
	}
	if l.ready.Event != "ready" {
		return l, errors.New(l.ready.Reason)
	}
	return l, nil
}

// end closes stdin and expects exit status 0.
func (l *launcher) end() error {
	l.in.Close()
	return l.cmd.Wait()
}

// startOwn is a server for one test.
func startOwn(t *testing.T, args ...string) *launcher {
	t.Helper()
	l, err := start(binary(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.end() })
	return l
}

type fields map[string]any

// ask sends a command and returns the answer, whatever it is.
func (l *launcher) ask(t *testing.T, name string, with fields) fields {
	t.Helper()
	request := fields{"cmd": name}
	for key, value := range with {
		request[key] = value
	}
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	if line, err = l.out.ReadBytes('\n'); err != nil {
		t.Fatal(err)
	}
	var answer fields
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return answer
}

// must sends a command that has to succeed.
func (l *launcher) must(t *testing.T, name string, with fields) fields {
	t.Helper()
	answer := l.ask(t, name, with)
	if answer["ok"] != true {
		t.Fatalf("%s %v: %v", name, with, answer["error"])
	}
	return answer
}

// send is one request to the server. The answer's body is kept as text: refusals are compared in words.
func (l *launcher) send(t *testing.T, token, method, path, body string) (status int, answer string) {
	t.Helper()
	ca, err := os.ReadFile(l.ready.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	request, err := http.NewRequest(method, l.ready.Server+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/strategic-merge-patch+json")
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// expect sends a request and wants this status, and these words in the answer.
func (l *launcher) expect(t *testing.T, token, method, path, body string, want int, words ...string) {
	t.Helper()
	status, answer := l.send(t, token, method, path, body)
	if status != want {
		t.Fatalf("%s %s %s: status %d instead of %d: %s", method, path, body, status, want, answer)
	}
	for _, word := range words {
		if !strings.Contains(answer, word) {
			t.Fatalf("%s %s %s: the answer lacks %q: %s", method, path, body, word, answer)
		}
	}
}

func named(name, rest string) string { return `{"metadata":{"name":"` + name + `"}` + rest + `}` }
