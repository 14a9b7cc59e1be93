// A client process of a history, in Go: see tests/faults/README.md. Nothing is judged here.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
	"sync"
)

// setup is the first line of the input.
type setup struct {
	Kubeconfig, Namespace, Map, Process string
	// Modes are the cache modes, by client.
	Modes map[string]string
}

// call is one call to make.
type call struct {
	Client     string     `json:"client"`
	ID         string     `json:"id"`
	Verb       string     `json:"verb"`
	Key        string     `json:"key"`
	Ops        [][]string `json:"ops"`
	Conditions [][]string `json:"conditions"`
	TimeoutMS  int64      `json:"timeout_ms"`
	CancelMS   int64      `json:"cancel_ms"`
	PauseUS    int64      `json:"pause_us"`
	Quiet      bool       `json:"quiet"`
}

// line is what came of a call.
type line struct {
	call
	Process   string            `json:"process"`
	Language  string            `json:"language"`
	Mode      string            `json:"mode"`
	Start     int64             `json:"start"`
	End       int64             `json:"end"`
	Late      int64             `json:"late,omitempty"`
	Cancelled int64             `json:"cancelled,omitempty"`
	Outcome   string            `json:"outcome,omitempty"`
	Message   string            `json:"message,omitempty"`
	Status    int               `json:"status,omitempty"`
	Retryable bool              `json:"retryable,omitempty"`
	Revision  *string           `json:"revision,omitempty"`
	Changed   *bool             `json:"changed,omitempty"`
	Value     *string           `json:"value,omitempty"`
	Present   *bool             `json:"present,omitempty"`
	Length    *int              `json:"length,omitempty"`
	Keys      []string          `json:"keys,omitzero"`
	Snapshot  map[string]string `json:"snapshot,omitzero"`
}

type event struct {
	Event string `json:"event"`
	Start int64  `json:"start,omitempty"`
	Call  *line  `json:"call,omitempty"`
}

var out sync.Mutex

func say(e event) {
	text, err := json.Marshal(e)
	if err != nil {
		log.Fatal(err)
	}
	out.Lock()
	defer out.Unlock()
	if _, err := os.Stdout.Write(append(text, '\n')); err != nil {
		log.Fatal(err)
	}
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<24)
	var s setup
	scripts := read(input, &s)
	late := watchTime()
	var quiet, done sync.WaitGroup
	goOn := make(chan struct{})
	for name, script := range scripts {
		quiet.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			c := &client{name: name, setup: &s, late: late, seen: map[string]*[]byte{}}
			c.runAll(script, false)
			quiet.Done()
			<-goOn
			c.runAll(script, true)
		}()
	}
	quiet.Wait()
	say(event{Event: "quiet"})
	input.Scan()
	close(goOn)
	done.Wait()
	say(event{Event: "done"})
}

func read(input *bufio.Scanner, s *setup) map[string][]call {
	scripts := map[string][]call{}
	for number := 0; input.Scan() && input.Text() != "run"; number++ {
		if number == 0 {
			if err := json.Unmarshal(input.Bytes(), s); err != nil {
				log.Fatal(err)
			}
			continue
		}
		var one call
		if err := json.Unmarshal(input.Bytes(), &one); err != nil {
			log.Fatal(err)
		}
		scripts[one.Client] = append(scripts[one.Client], one)
	}
	return scripts
}
