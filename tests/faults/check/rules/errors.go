package rules

import (
	"strings"
	"time"

	"faults/check/record"
)

// notApplied: what an error says wasn't written is in no version, to the end; and each error of a write says whether
// it was.
func (j *Judge) notApplied() {
	for _, c := range j.Calls {
		if !c.IsWrite() || c.IsForeign() {
			continue
		}
		switch c.Fate() {
		case record.Unsaid:
			j.violate("an-error-says-whether-it-was-written", []*record.Call{c}, nil, "it says neither: %q", c.Message)
		case record.NotApplied:
			if at := j.firstWith(c); at >= 0 {
				j.violate("what-failed-is-not-written", []*record.Call{c}, []int{at}, "revision %s holds its value", j.revisionOf(at))
			}
		}
	}
}

// firstWith finds the first version that holds a value which only this call writes.
func (j *Judge) firstWith(c *record.Call) int {
	for at := range j.Versions {
		if len(j.own(c, at)) > 0 {
			return at
		}
	}
	return -1
}

// own are the keys that hold a value which only this call writes.
func (j *Judge) own(c *record.Call, at int) []string {
	var keys []string
	for _, op := range c.Ops {
		if len(op) < 3 || !isNamed(op[2], c.ID) {
			continue
		}
		if value, there := j.Versions[at].State[op[1]]; there && value == op[2] {
			keys = append(keys, op[1])
		}
	}
	return keys
}

// isNamed: the value is the call's own: its name, alone, behind a number, or before a byte that is no text.
func isNamed(value, id string) bool {
	return value == id || value == id+"\u00ff" || strings.HasSuffix(value, " "+id)
}

// once: no write is applied twice with another one in between: its value comes up once.
func (j *Judge) once() {
	for _, c := range j.Calls {
		if !c.IsWrite() || c.IsForeign() {
			continue
		}
		came := map[string][]int{}
		held := map[string]bool{}
		for at := range j.Versions {
			now := map[string]bool{}
			for _, key := range j.own(c, at) {
				now[key] = true
				if !held[key] {
					came[key] = append(came[key], at)
				}
			}
			held = now
		}
		for key, at := range came {
			if len(at) > 1 {
				j.violate("no-write-is-made-twice", []*record.Call{c}, at, "%s got its value %d times", key, len(at))
			}
		}
	}
}

// deadlines: a call returns at most 100 ms after its deadline or cancellation, less what the machine itself is late. Where
// others had the processors meanwhile it can't be judged; such calls are counted.
func (j *Judge) deadlines() {
	const allowed = 100 * time.Millisecond
	for _, c := range j.Calls {
		if c.IsForeign() || c.End >= record.Never/4 {
			continue
		}
		deadline := c.Start + c.TimeoutMS*int64(time.Millisecond)
		if c.Cancelled > 0 {
			deadline = min(deadline, c.Cancelled)
		}
		over := time.Duration(c.End - deadline - c.Late)
		if over > allowed && over-time.Duration(j.Waited(deadline, c.End)) <= allowed {
			j.Busy++
			continue
		}
		j.Overrun = max(j.Overrun, over)
		if over > allowed {
			j.violate("no-call-outlives-its-deadline", []*record.Call{c}, nil, "by %v", over)
		}
	}
}

// expected are the outcomes that the faults of a history can bring about. Others would need rights, limits or
// arguments that no history has.
var expected = map[string]bool{
	"Ok": true, "Conflict": true, "OutcomeUnknown": true, "Unavailable": true, "Overloaded": true, "Deadline": true,
	"Cancelled": true, "Unauthorized": true, "Killed": true,
}

// passing are the faults that bring about an error which passes: an API server that was started again doesn't know its
// roles at first, and files with a new authority have to be read.
var passing = map[string]string{
	"Forbidden": "API server and etcd killed",
	"Config":    "certificate of another authority",
}

// lately: an error that passes may be the last thing that a call has learnt at its deadline; it is no reason to give up
// at once.
func (j *Judge) lately(c *record.Call) bool {
	const loading = 15 * time.Second
	for _, fault := range j.Faults {
		if fault.Kind == passing[c.Outcome] && fault.At < c.End && fault.At > c.Start-int64(loading) {
			return time.Duration(c.End-c.Start)*2 >= time.Duration(c.TimeoutMS)*time.Millisecond
		}
	}
	return false
}

// wellAfterwards: when the faults are over everything works; and no error names a cause that isn't there.
func (j *Judge) wellAfterwards() {
	for _, c := range j.Calls {
		if c.IsForeign() {
			continue
		}
		if c.Quiet && !c.IsOk() && c.Process != j.About.Killed {
			j.violate("the-store-goes-on-when-the-faults-are-over", []*record.Call{c}, nil, "%s", c.Message)
		}
		if !expected[c.Outcome] && !j.lately(c) {
			j.violate("an-error-has-its-cause", []*record.Call{c}, nil, "nothing in this history can make it %s", c.Outcome)
		}
	}
	for _, problem := range j.About.Problems {
		if problem.Process != j.About.Killed {
			j.violate("a-client-lives-to-its-end", nil, nil, "%s: %s", problem.Process, problem.Problem)
		}
	}
}
