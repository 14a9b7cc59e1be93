// Runs each input of cases.txt through kubectl and through mapstore, against a
// server that records what it is asked: same server, credentials, impersonation
// and namespace, or both refuse. What is known to differ says so in the table,
// and has to differ.
//
//	main KUBECTL RUNNER [ID]     the runner of mapstore's conformance tests
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const patience = 60 * time.Second

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: main KUBECTL RUNNER [ID]")
	}
	text, err := os.ReadFile("cases.txt")
	if err != nil {
		log.Fatal(err)
	}
	cases, err := parse(string(text))
	if err != nil {
		log.Fatal(err)
	}
	world, err := newWorld()
	if err != nil {
		log.Fatal(err)
	}
	failed, count, refused := 0, 0, 0
	var lock sync.Mutex
	var wait sync.WaitGroup
	slots := make(chan struct{}, 3)
	for _, c := range cases {
		if len(os.Args) > 3 && os.Args[3] != c.id {
			continue
		}
		count++
		wait.Add(1)
		go func() {
			defer wait.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			verdict, complaint := world.try(c)
			lock.Lock()
			defer lock.Unlock()
			if verdict == none {
				refused++
			}
			if complaint != "" {
				failed++
				fmt.Printf("FAIL %s: %s\n", c.id, complaint)
			}
		}()
	}
	wait.Wait()
	fmt.Printf("%d kubeconfigs through kubectl and mapstore: kubectl refuses %d; %d wrong\n", count, refused, failed)
	if failed > 0 || count == 0 {
		os.Exit(1)
	}
}

// try gives kubectl's verdict, and what is wrong with mapstore's.
func (w *world) try(c input) (string, string) {
	folder, err := os.MkdirTemp("", "kubeconfigs")
	if err != nil {
		return "", err.Error()
	}
	defer os.RemoveAll(folder)
	for _, file := range c.files {
		if err := w.write(folder, file); err != nil {
			return "", err.Error()
		}
	}
	kubectl, said := w.run(c, folder, "k-"+c.id, []string{os.Args[1], "get", "configmap", "k-" + c.id}, "")
	lines := "open store=1 name=m-" + c.id + " timeout_ms=20000\nget store=1 key=a timeout_ms=20000\nquit\n"
	mapstore, told := w.run(c, folder, "m-"+c.id, []string{os.Args[2]}, lines)
	if (kubectl == mapstore) == (c.differs == "") {
		return kubectl, ""
	}
	wanted := "the same"
	if c.differs != "" {
		wanted = "a difference: " + c.differs
	}
	return kubectl, fmt.Sprintf("wanted %s\n  kubectl:  %s\n    %s\n  mapstore: %s\n    %s", wanted, kubectl, said, mapstore, told)
}

// run gives what the server was asked for this map, or that it wasn't.
func (w *world) run(c input, folder, name string, command []string, lines string) (string, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	program := exec.CommandContext(ctx, command[0], command[1:]...)
	program.Dir = folder
	program.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + folder}
	if !c.hasEnv("KUBECONFIG") {
		program.Env = append(program.Env, "KUBECONFIG="+filepath.Join(folder, "config"))
	}
	for _, variable := range c.env {
		program.Env = append(program.Env, w.fill(folder, variable))
	}
	program.Stdin = bytes.NewBufferString(lines)
	said, _ := program.CombinedOutput()
	return w.asked(name), string(bytes.TrimSpace(said))
}
