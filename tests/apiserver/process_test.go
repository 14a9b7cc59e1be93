package apiserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests in this file stop or kill processes, so each has a server of its own.

func TestKillAndStartKeepData(t *testing.T) {
	l := startOwn(t)
	admin, maps := l.ready.Token, configMaps("default")
	user := l.must(t, "user", fields{"name": "u", "namespace": "default"})["token"].(string)
	check := func(name string) {
		t.Helper()
		l.expect(t, admin, "POST", maps, named(name, ""), 201)
		l.expect(t, user, "GET", maps+"/"+name, "", 403) // the token still counts
	}
	check("one")
	l.must(t, "kill", nil)
	if got := l.ask(t, "namespace", fields{"name": "x"}); got["error"] != "namespace: the server is not running" {
		t.Fatal(got)
	}
	l.must(t, "start", nil)
	l.expect(t, admin, "GET", maps+"/one", "", 200)
	check("two")
	l.must(t, "stop", nil)
	l.must(t, "start", nil)
	check("three")
	l.must(t, "rotate_ca", nil)
	for _, name := range []string{"one", "two", "three"} {
		l.expect(t, admin, "GET", maps+"/"+name, "", 200)
	}
}

func TestPauseAndResume(t *testing.T) {
	l := startOwn(t)
	l.must(t, "pause", nil)
	if got := l.ask(t, "namespace", fields{"name": "x"}); got["error"] != "namespace: the server is paused" {
		t.Fatal(got)
	}
	l.must(t, "resume", nil)
	l.must(t, "namespace", fields{"name": "x"})
	l.must(t, "pause", nil)
	l.must(t, "restart", nil)
	l.must(t, "namespace", fields{"name": "y"})
}

func TestGivenDirectoryIsKept(t *testing.T) {
	dir := t.TempDir()
	l := startOwn(t, "--dir", dir)
	l.must(t, "namespace", fields{"name": "kept"})
	if other, err := start(binary(), "--dir", dir); err == nil || !strings.Contains(err.Error(), "in use by another launcher") {
		t.Fatal(err)
	} else {
		other.end()
	}
	if err := l.end(); err != nil {
		t.Fatal(err)
	}
	l = startOwn(t, "--dir", dir)
	l.expect(t, l.ready.Token, "GET", "/api/v1/namespaces/kept", "", 200)
}

func TestNothingIsLeftAtTheEnd(t *testing.T) {
	ends := map[string]func(l *launcher) error{
		"stdin ends": func(l *launcher) error { return l.in.Close() },
		"SIGTERM":    func(l *launcher) error { return l.cmd.Process.Signal(syscall.SIGTERM) },
		"SIGINT":     func(l *launcher) error { return l.cmd.Process.Signal(syscall.SIGINT) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			l := startOwn(t)
			if err := end(l); err != nil {
				t.Fatal(err)
			}
			if err := l.cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			awaitGone(t, l.ready.Pid)
			if _, err := os.Stat(l.ready.Dir); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%s is still there: %v", l.ready.Dir, err)
			}
		})
	}
}

// Its stdin is only noticed by a running server; the kernel ends a paused one too.
func TestNothingIsLeftWhenTheLauncherIsKilled(t *testing.T) {
	for _, state := range []string{"running", "paused"} {
		t.Run(state, func(t *testing.T) {
			l := startOwn(t)
			if state == "paused" {
				l.must(t, "pause", nil)
			}
			if err := l.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			l.cmd.Wait()
			awaitGone(t, l.ready.Pid)
			os.RemoveAll(l.ready.Dir)
		})
	}
}

// A runner is this test's binary again: it starts a launcher, says what it knows, and waits to be killed.
const runnerEnv = "MAPSTORE_TEST_RUNNER"

func runRunner() {
	l, err := start(binary())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	keeper := exec.Command("sleep", "60")
	if os.Getenv(runnerEnv) == "forked" {
		keeper.ExtraFiles = []*os.File{l.in.(*os.File)}
	}
	if err := keeper.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.cmd.Process.Pid, l.ready.Pid, keeper.Process.Pid, l.ready.Dir)
	select {}
}

// "forked": a child of the runner lives on and holds the launcher's stdin open, as after a fork without exec.
func TestNothingIsLeftWhenTheRunnerIsKilled(t *testing.T) {
	for _, kind := range []string{"plain", "forked"} {
		t.Run(kind, func(t *testing.T) { killRunner(t, kind) })
	}
}

func killRunner(t *testing.T, kind string) {
	runner := exec.Command(os.Args[0])
	runner.Env = append(os.Environ(), runnerEnv+"="+kind)
	runner.Stderr = os.Stderr
	out, err := runner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	var launcherPid, serverPid, keeperPid int
	var dir string
	if _, err := fmt.Fscan(out, &launcherPid, &serverPid, &keeperPid, &dir); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(keeperPid, syscall.SIGKILL)
	if err := runner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	runner.Wait()
	awaitGone(t, launcherPid)
	awaitGone(t, serverPid)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is still there: %v", dir, err)
	}
}

// awaitGone fails if the process lives 5 seconds longer. One that nobody waited for yet counts as gone.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if _, state, found := bytes.Cut(stat, []byte(") ")); found && state[0] == 'Z' {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d is still there", pid)
}
