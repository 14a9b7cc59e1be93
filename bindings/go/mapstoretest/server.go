// Package mapstoretest starts a Kubernetes API server for ConfigMaps on
// loopback (mapstore-dev), for the tests of programs that use mapstore.
package mapstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// ready is how long the server may take to start.
const ready = 20 * time.Second

// Server is a running mapstore-dev. It ends with [Server.Stop], and with this process.
type Server struct {
	kubeconfig string
	dir        string
	command    *exec.Cmd
	stdin      io.Closer
	said       *output
	ended      chan struct{}
	stopOnce   sync.Once
}

// output is what the server says, for the one message that needs it.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// Run starts a server for one test and stops it at the test's end.
func Run(t testing.TB, namespaces ...string) *Server {
	t.Helper()
	server, err := Start(namespaces...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// Start starts a server with the namespace default and those named. The
// program mapstore-dev is the one that MAPSTORE_DEV names, or that PATH has.
func Start(namespaces ...string) (*Server, error) {
	program, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mapstore-dev-")
	if err != nil {
		return nil, err
	}
	server := &Server{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"), said: &output{}, ended: make(chan struct{})}
	arguments := []string{"--write-kubeconfig", server.kubeconfig, "--exit-with-stdin"}
	for _, namespace := range namespaces {
		arguments = append(arguments, "--namespace", namespace)
	}
	server.command = exec.Command(program, arguments...)
	server.command.Stdout, server.command.Stderr = server.said, server.said
	if server.stdin, err = server.command.StdinPipe(); err == nil {
		err = server.command.Start()
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("mapstoretest: can't start %s: %w", program, err)
	}
	go func() {
		_ = server.command.Wait() // its output says more
		close(server.ended)
	}()
	if err := server.wait(); err != nil {
		server.Stop()
		return nil, err
	}
	return server, nil
}

func find() (string, error) {
	if named := os.Getenv("MAPSTORE_DEV"); named != "" {
		return named, nil
	}
	program, err := exec.LookPath("mapstore-dev")
	if err != nil {
		return "", errors.New("mapstoretest: mapstore-dev is not on the PATH: install it with " +
			"`make install-dev` in the mapstore sources, or set MAPSTORE_DEV to the program")
	}
	return program, nil
}

// wait until the server says that it listens; the kubeconfig is there by then.
func (s *Server) wait() error {
	deadline := time.Now().Add(ready)
	for {
		if strings.Contains(s.said.String(), "listening on") {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("mapstoretest: mapstore-dev ended at once: %s", s.said)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mapstoretest: mapstore-dev isn't ready after %v: %s", ready, s.said)
		}
	}
}

// Kubeconfig is the path of an administrator's kubeconfig for the server.
func (s *Server) Kubeconfig() string { return s.kubeconfig }

// Stop ends the server. A second time does nothing.
func (s *Server) Stop() {
	s.stopOnce.Do(func() {
		s.stdin.Close()
		select {
		case <-s.ended:
		case <-time.After(5 * time.Second):
			_ = s.command.Process.Kill() // it may have ended just now
			<-s.ended
		}
		os.RemoveAll(s.dir)
	})
}
