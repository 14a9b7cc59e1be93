package rules

import (
	"faults/check/model"
	"faults/check/record"
)

// revisions: a revision that is told is one of the map's. A write that changed something says which version it made;
// one that changed nothing was compared with the version that it tells.
func (j *Judge) revisions() {
	for _, c := range j.Calls {
		if !c.IsOk() || (!c.IsWrite() && c.Verb != "snapshot") || c.Verb == "delete map" {
			continue
		}
		index, there := j.at(c)
		switch {
		case c.Revision != nil && *c.Revision != "" && !there:
			j.violate("a-revision-told-is-one-of-the-map", []*record.Call{c}, nil, "no version of the map has revision %s", *c.Revision)
		case there:
			j.known[c] = index
		}
		if !c.IsWrite() {
			if there && !model.Equal(c.Snapshot, j.Versions[index].State) {
				j.violate("a-snapshot-is-a-version", []*record.Call{c}, []int{index}, "at revision %s the map was another: %s",
					*c.Revision, model.Difference(j.Versions[index].State, c.Snapshot))
			}
			continue
		}
		switch {
		case c.Somewhen():
		case c.Changed && there:
			j.claims[index] = append(j.claims[index], c)
		case there && !j.isIdle(c, index):
			j.violate("unchanged-means-it-was-so", []*record.Call{c}, []int{index}, "at revision %s it would have changed something", *c.Revision)
		}
	}
	j.bound()
}

// isIdle: the write would change nothing in this version; or it went along with others of its process that made it,
// and would have changed nothing before them.
func (j *Judge) isIdle(c *record.Call, index int) bool {
	idle := func(at int) bool {
		before := j.Versions[at].State
		return model.Equal(model.Apply(before, c.Ops), before) && model.Holds(before, j.revisionOf(at), c.Conditions)
	}
	if idle(index) {
		return true
	}
	for _, claim := range j.claims[index] {
		if claim.Process == c.Process {
			return index > 0 && idle(index-1)
		}
	}
	// Its companions may come later in the list, or have an unknown outcome.
	for _, other := range j.Calls {
		at, there := j.at(other)
		together := there && at == index && other.Changed || other.Fate() == record.Unknown
		if together && other.Process == c.Process && other.IsWrite() && other.Start < c.End && index > 0 && idle(index-1) {
			return true
		}
	}
	return false
}

// bound works out by when each version must have been made: before the first call ended that knows of it, or of a
// later one.
func (j *Judge) bound() {
	j.until = make([]int64, len(j.Versions)+1)
	for at := range j.until {
		j.until[at] = record.Never
	}
	for c, index := range j.known {
		j.until[index] = min(j.until[index], c.End)
	}
	for at := len(j.Versions) - 1; at >= 0; at-- {
		j.until[at] = min(j.until[at], j.until[at+1])
	}
}
