package rules

import (
	"slices"

	"faults/check/record"
)

// assign finds for each of these versions a write of unknown outcome that made it, each write once. Which of several
// writes made which version isn't known, so it is a matching (Kuhn's), not a guess: first those that must have made one
// get theirs, then every version; an augmenting path never takes away what has been given. What no single write
// explains is the work of several that went together, and comes first: it leaves the least choice.
func (j *Judge) assign(versions []int) {
	m := matching{writes: map[int][]*record.Call{}, versions: map[*record.Call][]int{}, made: map[int]*record.Call{}, by: map[*record.Call]int{}}
	var single []int
	for _, at := range versions {
		if m.writes[at] = j.single(at); len(m.writes[at]) > 0 {
			single = append(single, at)
		} else if !j.reaches(at, nil) {
			j.blame(at)
		}
	}
	for _, at := range single {
		m.writes[at] = slices.DeleteFunc(m.writes[at], func(c *record.Call) bool { return j.used[c] > 0 })
		for _, c := range m.writes[at] {
			m.versions[c] = append(m.versions[c], at)
		}
	}
	for _, c := range j.Calls {
		if _, given := m.by[c]; c.Somewhen() && j.used[c] == 0 && !given {
			m.giveWrite(c, map[int]bool{})
		}
	}
	for _, at := range single {
		if m.made[at] == nil {
			m.giveVersion(at, map[*record.Call]bool{})
		}
	}
	for c, at := range m.by {
		j.used[c] = at
	}
	for _, at := range single {
		if m.made[at] == nil && !j.reaches(at, nil) {
			j.blame(at)
		}
	}
}

// single are the writes of unknown outcome that make a version alone.
func (j *Judge) single(at int) []*record.Call {
	before, after := j.Versions[at-1], j.Versions[at]
	var found []*record.Call
	for _, c := range j.open(at) {
		s := search{goal: after.State, revision: j.revisionOf(at - 1)}
		if s.from(before.State, []*record.Call{c}, 0) {
			found = append(found, c)
		}
	}
	return found
}

type matching struct {
	writes   map[int][]*record.Call
	versions map[*record.Call][]int
	made     map[int]*record.Call
	by       map[*record.Call]int
}

// giveVersion finds a write for a version; others may have to take another of theirs.
func (m *matching) giveVersion(at int, seen map[*record.Call]bool) bool {
	for _, c := range m.writes[at] {
		if seen[c] {
			continue
		}
		seen[c] = true
		if other, taken := m.by[c]; !taken || m.giveVersion(other, seen) {
			m.by[c], m.made[at] = at, c
			return true
		}
	}
	return false
}

// giveWrite finds a version for a write that must have made one.
func (m *matching) giveWrite(c *record.Call, seen map[int]bool) bool {
	for _, at := range m.versions[c] {
		if seen[at] {
			continue
		}
		seen[at] = true
		if other := m.made[at]; other == nil || m.giveWrite(other, seen) {
			m.by[c], m.made[at] = at, c
			return true
		}
	}
	return false
}
