// Package record reads what a history has left: calls, versions of the map, faults. It knows no client.
package record

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Never is when a call ends of which nobody knows when it ended.
const Never = math.MaxInt64

// Call is one call of a client, or one write of a foreign writer, and what came of it.
type Call struct {
	Process, Client, Language, Mode, ID, Verb, Key string

	Ops        [][]string
	Conditions [][]string
	TimeoutMS  int64 `json:"timeout_ms"`
	CancelMS   int64 `json:"cancel_ms"`
	Quiet      bool

	// Start and End are of CLOCK_MONOTONIC, which all processes share; Late is how late timers were meanwhile.
	Start, End, Late int64
	// Cancelled is when its token was used; 0 if it wasn't.
	Cancelled int64

	Outcome, Message string
	Retryable        bool
	Revision         *string
	Changed          bool
	Value            *string
	Present          *bool
	Length           *int
	Snapshot         map[string]string
	Keys             []string
}

// Version is the map from one revision of etcd on.
type Version struct {
	Revision           int64
	Exists             bool
	UID, Stamp, Marker string
	State              map[string]string
}

// Fired is a fault that was used.
type Fired struct {
	At                  int64
	Kind, Method, Query string
}

// About is what there is to know of the history itself.
type About struct {
	Seed         int64
	Plan         string
	First        int64
	Calm         int64
	Killed       string
	Milliseconds int64
	Problems     []struct{ Process, Problem string }
	// Faults are the names of all that there are.
	Faults []string
}

// History is all of it.
type History struct {
	Folder   string
	About    About
	Calls    []*Call
	Versions []Version
	Faults   []Fired
	// Pressure is how long somebody had to wait for a processor: moments, and nanoseconds until then.
	Pressure [][2]int64
	// Index finds a version by the revision that made it.
	Index map[string]int
}

// Read reads a history's folder.
func Read(folder string) (*History, error) {
	h := &History{Folder: folder, Index: map[string]int{}}
	var about []About
	for name, into := range map[string]any{"about.json": &about, "calls.jsonl": &h.Calls, "truth.jsonl": &h.Versions, "faults.jsonl": &h.Faults, "pressure.jsonl": &h.Pressure} {
		if err := lines(filepath.Join(folder, name), into); err != nil {
			return nil, err
		}
	}
	if len(about) != 1 || len(h.Versions) == 0 {
		return nil, fmt.Errorf("%s: it is no history", folder)
	}
	h.About = about[0]
	sort.SliceStable(h.Calls, func(a, b int) bool { return h.Calls[a].Start < h.Calls[b].Start })
	for at, version := range h.Versions {
		if version.Exists {
			h.Index[strconv.FormatInt(version.Revision, 10)] = at
		}
	}
	return h, nil
}

func lines(path string, into any) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var all []json.RawMessage
	reader := bufio.NewScanner(file)
	reader.Buffer(nil, 1<<26)
	for reader.Scan() {
		all = append(all, json.RawMessage(append([]byte(nil), reader.Bytes()...)))
	}
	if err := reader.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	whole, err := json.Marshal(all)
	if err == nil {
		err = json.Unmarshal(whole, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Waited is how long somebody had to wait for a processor between two moments.
func (h *History) Waited(from, to int64) int64 {
	var first, last int64 = -1, 0
	for _, sample := range h.Pressure {
		if sample[0] <= from || first < 0 {
			first = sample[1]
		}
		if last = sample[1]; sample[0] >= to {
			break
		}
	}
	return max(0, last-first)
}

// Fate is what is known of a write.
type Fate int

const (
	// Applied, or not needed.
	Applied Fate = iota
	// NotApplied, and it won't be.
	NotApplied
	// Unknown: it may have been, or may yet be.
	Unknown
	// Unsaid: it failed and doesn't say.
	Unsaid
)

// IsWrite tells whether it asked for a change.
func (c *Call) IsWrite() bool {
	switch c.Verb {
	case "open", "get", "contains", "len", "keys", "usage", "verify_connection", "snapshot", "refresh":
		return false
	}
	return true
}

// IsForeign tells whether it is no client of mapstore's.
func (c *Call) IsForeign() bool { return c.Mode == "foreign" }

// IsOk tells whether it succeeded.
func (c *Call) IsOk() bool { return c.Outcome == "Ok" }

// Fate of a write, as its outcome and message say.
func (c *Call) Fate() Fate {
	switch c.Outcome {
	case "Ok":
		return Applied
	case "OutcomeUnknown", "Killed", "Internal":
		return Unknown
	case "Cancelled", "Closed":
		switch {
		case strings.Contains(c.Message, "may have been applied"):
			return Unknown
		case strings.Contains(c.Message, "nothing was"):
			return NotApplied
		}
		return Unsaid
	}
	return NotApplied
}

// Somewhen tells whether it says that it changed the map, and not at which revision.
func (c *Call) Somewhen() bool {
	return c.IsOk() && c.IsWrite() && !c.IsForeign() && c.Changed && (c.Revision == nil || *c.Revision == "")
}

// Forced tells whether it makes a new revision in any case.
func (c *Call) Forced() bool {
	for _, op := range c.Ops {
		if op[0] == "force_set" {
			return true
		}
	}
	return false
}

func (c *Call) String() string {
	told := "-"
	if c.Revision != nil {
		told = *c.Revision
	}
	what := c.Key
	if len(c.Ops) > 0 {
		what = fmt.Sprint(c.Ops)
	}
	if len(c.Conditions) > 0 {
		what += fmt.Sprint(" if ", c.Conditions)
	}
	message := ""
	if c.Message != "" {
		message = " " + strconv.Quote(c.Message)
	}
	end := "?"
	if c.End < Never/4 {
		end = fmt.Sprintf("%.1f", float64(c.End%1e12)/1e6)
	}
	return fmt.Sprintf("[%.1f, %s] %s (%s, %s) %s %s: %s revision=%s changed=%v%s",
		float64(c.Start%1e12)/1e6, end, c.ID, c.Language, c.Mode, c.Verb, what, c.Outcome, told, c.Changed, message)
}
