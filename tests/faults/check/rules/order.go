package rules

import (
	"container/heap"
	"maps"
	"slices"

	"faults/check/model"
	"faults/check/record"
)

// ended are calls by the moment of their end, with the version that they knew.
type ended []struct {
	end  int64
	at   int
	call *record.Call
}

func (e ended) Len() int           { return len(e) }
func (e ended) Less(a, b int) bool { return e[a].end < e[b].end }
func (e ended) Swap(a, b int)      { e[a], e[b] = e[b], e[a] }
func (e *ended) Push(x any)        { *e = append(*e, x.(ended)[0]) }
func (e *ended) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// floor is the newest version that a finished call knew.
type floor struct {
	running ended
	at      int
	by      *record.Call
}

// advance takes in what has ended before a moment.
func (f *floor) advance(moment int64) {
	for len(f.running) > 0 && f.running[0].end < moment {
		one := heap.Pop(&f.running).(struct {
			end  int64
			at   int
			call *record.Call
		})
		if one.at > f.at {
			f.at, f.by = one.at, one.call
		}
	}
}

func (f *floor) add(c *record.Call, at int) {
	heap.Push(&f.running, ended{{c.End, at, c}})
}

// order: versions follow each other in one order, and no call that began after another had ended sees an older one
// than that did; a write that began then makes a newer one. For each call the oldest version is taken that it can mean,
// which leaves the most to those after it.
func (j *Judge) order() {
	global := &floor{}
	for _, c := range j.Calls {
		global.advance(c.Start)
		made, isMade := j.made(c)
		fits, bound := j.meaning(c)
		switch {
		case isMade:
			if made <= global.at {
				j.violate("no-call-goes-back-in-time", with(c, global.by), []int{made, global.at},
					"revision %s was made by it before it began: revision %s was known then", j.revisionOf(made), j.revisionOf(global.at))
				continue
			}
			global.add(c, made)
		case fits == nil:
		case !bound:
			// From memory: it shows that the version exists.
			if at, there := j.known[c]; there {
				global.add(c, at)
			}
		default:
			at := j.oldest(global.at, fits)
			if at < 0 {
				j.violate("no-call-goes-back-in-time", with(c, global.by), []int{global.at},
					"no version since revision %s, which was known when it began, is as it says", j.revisionOf(global.at))
				continue
			}
			if j.until[at] > c.End {
				j.until[at] = c.End
			}
			global.add(c, at)
		}
	}
}

// made is the version that a write says it made.
func (j *Judge) made(c *record.Call) (int, bool) {
	at, there := j.known[c]
	return at, there && c.IsOk() && c.IsWrite() && c.Changed && !j.asWanted[c]
}

// meaning tells which versions an answer fits, and whether it has to be one that was the newest during the call.
// nil: it says nothing of any version.
func (j *Judge) meaning(c *record.Call) (fits func(at int) bool, newest bool) {
	newest = c.Mode == "none"
	if !c.IsOk() {
		// A condition that doesn't hold is looked up, in each mode.
		unmet := c.Outcome == "Conflict" && !c.Retryable && len(c.Conditions) > 0 && c.Verb != "update"
		if !unmet {
			return nil, false
		}
		return func(at int) bool { return !model.Holds(j.Versions[at].State, j.revisionOf(at), c.Conditions) }, true
	}
	if c.IsWrite() {
		if c.IsForeign() {
			return nil, false
		}
		newest = newest || len(c.Conditions) > 0
		if c.Somewhen() {
			return nil, false
		}
		if at, there := j.known[c]; there {
			return func(other int) bool { return other == at }, newest || j.asWanted[c]
		}
		return func(at int) bool { return !j.Versions[at].Exists }, newest
	}
	switch c.Verb {
	case "get":
		return func(at int) bool {
			value, there := j.Versions[at].State[c.Key]
			return there == (c.Value != nil) && (!there || value == *c.Value)
		}, newest
	case "contains":
		return func(at int) bool {
			_, there := j.Versions[at].State[c.Key]
			return c.Present != nil && there == *c.Present
		}, newest
	case "keys":
		return func(at int) bool { return slices.Equal(c.Keys, slices.Sorted(maps.Keys(j.Versions[at].State))) }, newest
	case "len", "usage":
		return func(at int) bool { return c.Length != nil && len(j.Versions[at].State) == *c.Length }, newest
	case "snapshot":
		if at, there := j.known[c]; there {
			return func(other int) bool { return other == at }, newest
		}
		return func(at int) bool { return !j.Versions[at].Exists }, newest
	}
	return nil, false
}

func (j *Judge) oldest(from int, fits func(int) bool) int {
	for at := from; at < len(j.Versions); at++ {
		if fits(at) {
			return at
		}
	}
	return -1
}

// memory: what a cached store says is never older than what it, or its own acknowledged writes, knew before; and after
// open or refresh as new as the server was at that call's beginning. Stores of one process share it.
func (j *Judge) memory() {
	global := &floor{}
	own := map[string]*floor{}
	for _, c := range j.Calls {
		global.advance(c.Start)
		if at, there := j.known[c]; there && c.IsOk() {
			global.add(c, at)
		}
		if !c.IsOk() || c.IsForeign() || c.Mode == "none" {
			continue
		}
		f := own[c.Process]
		if f == nil {
			f = &floor{}
			own[c.Process] = f
		}
		f.advance(c.Start)
		if made, isMade := j.made(c); isMade {
			f.add(c, made)
			continue
		}
		if c.Verb == "refresh" || c.Verb == "open" {
			f.add(c, max(global.at, f.at))
			continue
		}
		fits, newest := j.meaning(c)
		if fits == nil || newest {
			continue
		}
		at := j.oldest(f.at, fits)
		if at < 0 {
			j.violate("memory-never-goes-back", with(c, f.by), []int{f.at}, "no version since revision %s, which this process knew when it began, is as it says",
				j.revisionOf(f.at))
			continue
		}
		f.add(c, at)
	}
}

func with(c, other *record.Call) []*record.Call {
	if other == nil {
		return []*record.Call{c}
	}
	return []*record.Call{c, other}
}
