package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

type options struct {
	binary   string
	dir      string
	log      string
	patience time.Duration // for the server to get ready
	extra    []string      // flags for kube-apiserver
}

const (
	// Ports are taken below the range that the kernel gives to outgoing connections, so that none of
	// those sits on ours while the server is down between two starts.
	minPort, maxPort = 20000, 32000
	portTries        = 5

	gracefulStop = 30 * time.Second // for the command stop
	finalStop    = 3 * time.Second  // when the launcher ends
)

var errNotRunning = errors.New("the server is not running")

// cluster is the server with its directory, its port and an admin's client. One goroutine uses it: main's.
type cluster struct {
	opts    options
	home    *home
	port    int
	admin   *api
	process *process // the last one started
	version string
	took    time.Duration // from the start to ready, last time
}

// launch starts a server and returns when it is ready.
func launch(ctx context.Context, opts options) (*cluster, error) {
	home, err := openHome(opts.dir)
	if err != nil {
		return nil, err
	}
	c := &cluster{opts: opts, home: home}
	if c.opts.log == "" {
		c.opts.log = home.path("server.log")
	}
	if err := c.launch(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cluster) launch(ctx context.Context) error {
	if err := c.home.ensureKeys(); err != nil {
		return err
	}
	token, err := c.home.ensureAdmin()
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err = c.connect(token); err != nil {
			return err
		}
		err = c.start(ctx)
		if !isPortClash(err) || try == portTries {
			break
		}
	}
	if err != nil {
		return err
	}
	_, err = c.home.writeKubeconfig("kubeconfig", c.url(), "", token)
	return err
}

// connect makes the admin's client, from the port and the authority's certificate.
func (c *cluster) connect(token string) (err error) {
	c.admin, err = newAPI(c.url(), c.home.path(caFile), token)
	return err
}

// close ends the server, at the latest after finalStop, and removes what is temporary.
func (c *cluster) close() {
	if c.process != nil && c.process.running() {
		c.process.terminate(finalStop)
	}
	c.home.close()
}

func (c *cluster) url() string { return fmt.Sprintf("https://127.0.0.1:%d", c.port) }

// readyEvent is the launcher's first line.
func (c *cluster) readyEvent() any {
	return struct {
		Event      string  `json:"event"`
		Kubeconfig string  `json:"kubeconfig"`
		Server     string  `json:"server"`
		CAFile     string  `json:"ca_file"`
		Token      string  `json:"token"`
		Pid        int     `json:"pid"`
		EtcdPid    int     `json:"etcd_pid"` // etcd runs in the same process
		Version    string  `json:"version"`
		Dir        string  `json:"dir"`
		Log        string  `json:"log"`
		Seconds    float64 `json:"seconds"` // it took to get ready
	}{
		"ready", c.home.path("kubeconfig"), c.url(), c.home.path(caFile), c.admin.token,
		c.process.pid(), c.process.pid(), c.version, c.home.dir, c.opts.log, c.took.Seconds(),
	}
}

// start runs the binary on the cluster's port and waits until it is ready. If it doesn't get ready it is
// ended.
func (c *cluster) start(ctx context.Context) error {
	began := time.Now()
	args := []string{"--dir", c.home.dir, "--port", fmt.Sprint(c.port), "--"}
	process, err := startProcess(c.opts.binary, append(args, c.opts.extra...), c.opts.log)
	if err != nil {
		return fmt.Errorf("the server can't be started: %w", err)
	}
	c.process = process
	c.admin.forget()
	if err := c.waitReady(ctx); err != nil {
		process.kill()
		return err
	}
	c.took = time.Since(began)
	return nil
}

func (c *cluster) waitReady(ctx context.Context) error {
	tooLong := time.After(c.opts.patience)
	for {
		notReady := c.ready(ctx)
		if notReady == nil {
			return nil
		}
		select {
		case <-c.process.exited:
			return c.process.exitError()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tooLong:
			return fmt.Errorf("the server is not ready after %s (%w); the last lines of its log:\n%s",
				c.opts.patience, notReady, c.process.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ready is nil when a client can do everything: /readyz alone comes before the namespace default.
func (c *cluster) ready(ctx context.Context) error {
	if err := c.admin.get(ctx, "/readyz", nil); err != nil {
		return err
	}
	if err := c.admin.get(ctx, "/api/v1/namespaces/default", nil); err != nil {
		return err
	}
	if err := c.admin.tryCreate(ctx, "default", nil); err != nil {
		return err
	}
	var version struct{ GitVersion string }
	err := c.admin.get(ctx, "/version", &version)
	c.version = version.GitVersion
	return err
}

// serving is nil if requests to the server can be answered.
func (c *cluster) serving() error {
	switch {
	case !c.process.running():
		return errNotRunning
	case c.process.paused:
		return errors.New("the server is paused")
	}
	return nil
}

func freePort() (int, error) {
	var err error
	for range 100 {
		port := minPort + rand.IntN(maxPort-minPort)
		var listener net.Listener
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port on 127.0.0.1: %w", err)
}

func isPortClash(err error) bool {
	return err != nil && strings.Contains(err.Error(), "address already in use")
}
