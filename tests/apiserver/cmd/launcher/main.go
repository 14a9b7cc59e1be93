// Command launcher runs the apiserver binary for a test, in any language: one JSON object a line on stdin
// is a command, one on stdout its answer. README.md in the module's root has the table.
//
// It leaves nothing behind. When stdin ends, its parent dies or a signal asks for it, it ends the server and
// removes the directory it made; if it is killed itself, the kernel kills the server.
//
// It speaks plain HTTP and JSON to the server and imports nothing of Kubernetes, so that it builds in seconds.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// errEnded is why the launcher's own context was cancelled.
var errEnded = errors.New("the launcher was asked to end")

// The server dies with the thread that started it (see process.go). The main thread lives as long as the
// launcher, so main runs on it and on no other.
func init() { runtime.LockOSThread() }

func main() {
	opts := options{}
	flag.StringVar(&opts.binary, "server", "", "path of the apiserver binary (required)")
	flag.StringVar(&opts.dir, "dir", "", "directory for data and credentials, kept; default: a temporary one, removed at the end")
	flag.StringVar(&opts.log, "log", "", "file for the server's log, appended to; default: server.log in the directory")
	flag.DurationVar(&opts.patience, "ready-timeout", 60*time.Second, "how long the server may take to get ready")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: %s --server PATH [--dir DIR] [--log FILE] [-- FLAGS OF kube-apiserver]\n", os.Args[0])
		flag.PrintDefaults()
	}
	flag.Parse()
	opts.extra = flag.Args()
	if opts.binary == "" {
		flag.Usage()
		os.Exit(2)
	}
	os.Exit(run(opts))
}

// run returns the exit status: 1 if the server never got ready, else 0.
func run(opts options) int {
	// A runner that stopped reading is noticed by the failed write, not by a signal that skips the clean-up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, end := context.WithCancelCause(context.Background())
	endOnSignal(end)
	endWithParent(end)
	lines := readLines(end)
	out := json.NewEncoder(os.Stdout)

	c, err := launch(ctx, opts)
	if err != nil {
		_ = out.Encode(map[string]string{"event": "failed", "reason": err.Error()})
		return 1
	}
	defer c.close()
	if err := out.Encode(c.readyEvent()); err != nil {
		return 0
	}
	serve(ctx, c, lines, out)
	return 0
}

// serve answers commands, one after the other, until ctx ends.
func serve(ctx context.Context, c *cluster, lines <-chan []byte, out *json.Encoder) {
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-lines:
			if err := out.Encode(reply(ctx, c, line)); err != nil {
				return
			}
		}
	}
}

func endOnSignal(end context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		<-signals
		end(errEnded)
	}()
}

// endWithParent covers a runner that was killed while a forked child of it still holds our stdin open.
func endWithParent(end context.CancelCauseFunc) {
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(200 * time.Millisecond)
		}
		end(errEnded)
	}()
}

// readLines sends stdin line by line and ends the launcher with it, in the middle of a command too: the buffer
// lets it read on meanwhile.
func readLines(end context.CancelCauseFunc) <-chan []byte {
	lines := make(chan []byte, 64)
	go func() {
		defer end(errEnded)
		stdin := bufio.NewReader(os.Stdin)
		for {
			line, err := stdin.ReadBytes('\n')
			if err != nil {
				return
			}
			lines <- line
		}
	}()
	return lines
}
