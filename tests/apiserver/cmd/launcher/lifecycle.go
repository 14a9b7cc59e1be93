package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// nothing is the request of a command without fields.
type nothing struct{}

func startServer(ctx context.Context, c *cluster, _ nothing) (answer, error) {
	if c.process.running() {
		return nil, errors.New("the server is running already")
	}
	// Clients know the port, so it stays. Somebody else on it will hopefully go away.
	for try := 1; ; try++ {
		err := c.start(ctx)
		if err == nil {
			return answer{"pid": c.process.pid(), "seconds": c.took.Seconds()}, nil
		}
		if !isPortClash(err) || try == portTries {
			return nil, err
		}
		time.Sleep(time.Second)
	}
}

func stopServer(_ context.Context, c *cluster, _ nothing) (answer, error) {
	if !c.process.running() {
		return nil, errNotRunning
	}
	if !c.process.terminate(gracefulStop) {
		return nil, fmt.Errorf("the server did not exit within %s of SIGTERM and was killed", gracefulStop)
	}
	return answer{"status": c.process.cmd.ProcessState.String()}, nil
}

func killServer(_ context.Context, c *cluster, _ nothing) (answer, error) {
	if !c.process.running() {
		return nil, errNotRunning
	}
	c.process.kill()
	return nil, nil
}

func restartServer(ctx context.Context, c *cluster, _ nothing) (answer, error) {
	if c.process.running() {
		c.process.kill()
	}
	return startServer(ctx, c, nothing{})
}

func pauseServer(_ context.Context, c *cluster, _ nothing) (answer, error) {
	if !c.process.running() {
		return nil, errNotRunning
	}
	return nil, c.process.pause()
}

func resumeServer(_ context.Context, c *cluster, _ nothing) (answer, error) {
	if !c.process.running() {
		return nil, errNotRunning
	}
	return nil, c.process.resume()
}

// rotateCA restarts the server with a certificate of a new authority, in the same files. The kubeconfig files of
// users keep the old one.
func rotateCA(ctx context.Context, c *cluster, _ nothing) (answer, error) {
	if c.process.running() {
		c.process.kill()
	}
	if err := c.home.writeServingCert(); err != nil {
		return nil, err
	}
	if err := c.connect(c.admin.token); err != nil {
		return nil, err
	}
	if _, err := c.home.writeKubeconfig("kubeconfig", c.url(), "", c.admin.token); err != nil {
		return nil, err
	}
	return startServer(ctx, c, nothing{})
}

// memory is what the kernel says the server holds now, and held at most, in bytes.
func memory(_ context.Context, c *cluster, _ nothing) (answer, error) {
	if !c.process.running() {
		return nil, errNotRunning
	}
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", c.process.pid()))
	if err != nil {
		return nil, err
	}
	defer status.Close()
	names := map[string]string{"VmRSS:": "rss", "VmHWM:": "peak"}
	sizes := answer{}
	for lines := bufio.NewScanner(status); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // "VmRSS:", "298764", "kB"
		if name := names[fields[0]]; name != "" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return nil, err
			}
			sizes[name] = kib << 10
		}
	}
	return sizes, nil
}

// dbSize is the size of etcd's file, which never shrinks by itself.
func dbSize(_ context.Context, c *cluster, _ nothing) (answer, error) {
	info, err := os.Stat(c.home.path("etcd", "member", "snap", "db"))
	if err != nil {
		return nil, err
	}
	return answer{"bytes": info.Size()}, nil
}
