package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is one run of the apiserver binary. It can't outlive the launcher: its stdin is a pipe that only
// the launcher holds, and its parent-death signal is SIGKILL, which also ends a paused one.
type process struct {
	cmd    *exec.Cmd
	log    string // file that stderr and stdout go to
	start  int64  // where in it this run begins
	exited chan struct{}
	paused bool
}

// startProcess must be called on the main thread: Linux sends the parent-death signal when the *thread* ends
// that started the child.
func startProcess(binary string, args []string, log string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	start, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}

	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = file, file
	// A process group of its own: Ctrl-C in a terminal is for the launcher, which then ends the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	// The write end is held by cmd until Wait.
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}

	p := &process{cmd: cmd, log: log, start: start, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the outcome is in cmd.ProcessState
		close(p.exited)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// kill is what a crash looks like; it works on a paused process too.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // the only error is that it has exited already
	<-p.exited
}

// terminate asks it to exit and says whether it did within patience; if not, it is killed.
func (p *process) terminate(patience time.Duration) (graceful bool) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a paused process sees SIGTERM only then
	select {
	case <-p.exited:
		return true
	case <-time.After(patience):
		p.kill()
		return false
	}
}

func (p *process) pause() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	p.paused = true
	return nil
}

func (p *process) resume() error {
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	p.paused = false
	return nil
}

// exitError says how it ended and what it said last. Only after it exited.
func (p *process) exitError() error {
	tail := p.logTail()
	if tail == "" {
		tail = "(it logged nothing)"
	}
	return fmt.Errorf("the server exited (%s); the last lines of its log:\n%s", p.cmd.ProcessState, tail)
}

// logTail is the end of what this run logged.
func (p *process) logTail() string {
	const maxBytes, maxLines = 16 << 10, 8
	file, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer file.Close()
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	from := max(p.start, end-maxBytes)
	text, err := io.ReadAll(io.NewSectionReader(file, from, end-from))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-maxLines):], "\n")
}
