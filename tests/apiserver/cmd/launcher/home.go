package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	tempPrefix = "mapstore-apiserver-"
	// abandonedAfter keeps the sweep away from a directory that another launcher made but hasn't locked yet.
	abandonedAfter = time.Minute
)

// home is the directory of one server: credentials, etcd's data, the log and the kubeconfig files.
type home struct {
	dir  string
	temp bool     // made here, so removed here
	lock *os.File // held as long as the launcher lives
}

// openHome uses dir, or makes a temporary directory if it is "".
func openHome(dir string) (*home, error) {
	temp := dir == ""
	if temp {
		removeAbandoned()
		made, err := os.MkdirTemp("", tempPrefix)
		if err != nil {
			return nil, err
		}
		dir = made
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s is in use by another launcher: %w", dir, err)
	}
	return &home{dir: dir, temp: temp, lock: lock}, nil
}

// close removes the directory if it is a temporary one.
func (h *home) close() {
	if h.temp {
		_ = os.RemoveAll(h.dir) // what remains, the next launcher's sweep removes
	}
	h.lock.Close()
}

func (h *home) path(elements ...string) string {
	return filepath.Join(append([]string{h.dir}, elements...)...)
}

func lockDir(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// removeAbandoned removes the temporary directories of launchers that were killed with -9.
func removeAbandoned() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*")) // the pattern is well-formed
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < abandonedAfter {
			continue
		}
		lock, err := lockDir(dir)
		if err != nil {
			continue // in use
		}
		_ = os.RemoveAll(dir)
		lock.Close()
	}
}

// ensureAdmin returns the admin's token, making it and the file the server reads it from at first.
func (h *home) ensureAdmin() (token string, err error) {
	path := h.path("tokens.csv")
	text, err := os.ReadFile(path)
	if err == nil {
		token, _, _ = strings.Cut(string(text), ",")
		return token, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	token = rand.Text()
	return token, os.WriteFile(path, []byte(token+`,admin,admin,"system:masters"`+"\n"), 0o600)
}

const kubeconfigFormat = `apiVersion: v1
kind: Config
current-context: mapstore
contexts:
- name: mapstore
  context: {cluster: mapstore, user: mapstore%s}
clusters:
- name: mapstore
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: mapstore
  user: {token: %s}
`

// writeKubeconfig writes the file name; namespace "" leaves the context without one.
func (h *home) writeKubeconfig(name, server, namespace, token string) (path string, err error) {
	ca, err := os.ReadFile(h.path(caFile))
	if err != nil {
		return "", err
	}
	if namespace != "" {
		namespace = ", namespace: " + namespace
	}
	path = h.path(name)
	text := fmt.Sprintf(kubeconfigFormat, namespace, server, base64.StdEncoding.EncodeToString(ca), token)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
