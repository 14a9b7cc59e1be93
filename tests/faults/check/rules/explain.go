package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"faults/check/model"
	"faults/check/record"
)

// explain: each version follows from the one before it by the writes that say they made it, and if none says so, by
// writes of which nobody knows the outcome. So no acknowledged write is lost, none that failed was made, no batch is
// half made, conditions held at the moment of the write, and nobody's keys were touched by the way.
func (j *Judge) explain() {
	settled := make([][]*record.Call, len(j.Versions))
	for at := range j.Versions {
		settled[at] = j.settleClaims(at)
	}
	var open []int
	for at := 1; at < len(j.Versions); at++ {
		claims := settled[at]
		if len(claims) == 0 {
			if !j.explainUnclaimed(at) {
				open = append(open, at)
			}
			continue
		}
		writers := map[string]bool{}
		foreign := 0
		for _, c := range claims {
			writers[c.Process] = true
			if c.IsForeign() {
				foreign++
			}
		}
		if len(writers) > 1 || foreign > 1 {
			j.violate("a-revision-is-made-by-one-write", claims, []int{at - 1, at}, "revision %s is claimed by %s",
				j.revisionOf(at), names(claims))
			continue
		}
		if marker := j.Versions[at].Marker; foreign == 0 && marker != j.Versions[at-1].Marker && marker != "" {
			j.violate("a-revision-told-is-the-write-s-own", claims, []int{at - 1, at}, "revision %s was made by %s, and %s says it made it",
				j.revisionOf(at), marker, names(claims))
			continue
		}
		if !j.reaches(at, claims) {
			j.violate("an-acknowledged-write-is-in-its-revision", claims, []int{at - 1, at},
				"revision %s is told by %s, whose writes don't make it of the version before", j.revisionOf(at), names(claims))
		}
	}
	j.assign(open)
	for _, c := range j.Calls {
		if c.Somewhen() && j.used[c] == 0 {
			j.violate("an-acknowledged-write-is-in-its-revision", []*record.Call{c}, nil, "it says it changed the map, and no version shows that it did")
		}
	}
	if first := settled[0]; len(first) > 0 {
		j.violate("a-revision-told-is-the-write-s-own", first, []int{0}, "revision %s was there before %s", j.revisionOf(0), names(first))
	}
}

// settleClaims leaves out who was in doubt, found the map as wanted, and takes another's write for his own: where
// neither wrote a stamp nobody can tell. He must have been in doubt, and his write must have had no condition.
func (j *Judge) settleClaims(at int) []*record.Call {
	var makers, others []*record.Call
	for _, c := range j.claims[at] {
		if !c.IsForeign() && len(c.Conditions) == 0 && !c.Forced() && j.inDoubt(c) && model.Equal(model.Apply(j.Versions[at].State, c.Ops), j.Versions[at].State) {
			others = append(others, c)
		} else {
			makers = append(makers, c)
		}
	}
	marked := at > 0 && j.Versions[at].Marker != j.Versions[at-1].Marker && j.Versions[at].Marker != ""
	for _, process := range processes(others) {
		// Those who made it, if it wasn't somebody else.
		mine := append([]*record.Call(nil), makers...)
		rest := []*record.Call{}
		for _, c := range others {
			if c.Process == process {
				mine = append(mine, c)
			} else {
				rest = append(rest, c)
			}
		}
		if at > 0 && !marked && len(processes(mine)) == 1 && j.find(at, mine) != nil {
			return j.wanted(mine, rest)
		}
	}
	return j.wanted(makers, others)
}

// wanted notes who took another's write for his own.
func (j *Judge) wanted(makers, others []*record.Call) []*record.Call {
	for _, c := range others {
		j.asWanted[c] = true
		j.AsWanted++
	}
	return makers
}

func processes(calls []*record.Call) []string {
	var found []string
	for _, c := range calls {
		if !slices.Contains(found, c.Process) {
			found = append(found, c.Process)
		}
	}
	return found
}

// inDoubt: one of its requests may have been done without an answer.
func (j *Judge) inDoubt(c *record.Call) bool {
	const crash = 6_000_000_000
	for _, fault := range j.Faults {
		if fault.At < c.End && (fault.Method != "GET" && fault.Method != "" && fault.At > c.Start || fault.Method == "" && fault.At > c.Start-crash) {
			return true
		}
	}
	return false
}

// explainUnclaimed: nobody says this version is his. False: it must be the work of a client that doesn't know.
func (j *Judge) explainUnclaimed(at int) bool {
	before, after := j.Versions[at-1], j.Versions[at]
	if !after.Exists {
		if !j.use(at, func(c *record.Call) bool { return c.Verb == "delete map" && c.Outcome != "Rejected" }) {
			j.violate("each-change-has-a-writer", nil, []int{at - 1, at}, "nobody deleted the map at %d", after.Revision)
		}
		return true
	}
	if after.Marker != before.Marker && after.Marker != "" {
		if !j.use(at, func(c *record.Call) bool { return c.ID == after.Marker && c.Fate() == record.Unknown }) {
			j.violate("each-change-has-a-writer", j.byID(after.Marker), []int{at - 1, at}, "%s says it didn't make revision %d", after.Marker, after.Revision)
		}
		return true
	}
	// A missing map is made empty first, by whoever is to write into it.
	return !before.Exists && len(after.State) == 0
}

// use finds a write that may have made this version, and takes it: each is made once.
func (j *Judge) use(at int, fits func(*record.Call) bool) bool {
	for _, c := range j.Calls {
		if j.used[c] == 0 && c.Start < j.until[at] && fits(c) {
			j.used[c] = at
			return true
		}
	}
	return false
}

func (j *Judge) byID(id string) []*record.Call {
	for _, c := range j.Calls {
		if c.ID == id {
			return []*record.Call{c}
		}
	}
	return nil
}

// reaches: see find; the writes of unknown outcome that it takes are taken.
func (j *Judge) reaches(at int, claims []*record.Call) bool {
	found := j.find(at, claims)
	for _, c := range found {
		if c.Fate() == record.Unknown || c.Somewhen() || j.asWanted[c] {
			j.used[c] = at
		}
	}
	return found != nil
}

// find gives the writes that make a version of the one before it: the claims, in some order, with writes of unknown
// outcome of the same process between them. nil: there are none.
func (j *Judge) find(at int, claims []*record.Call) []*record.Call {
	before, after := j.Versions[at-1], j.Versions[at]
	candidates := map[string][]*record.Call{}
	for _, c := range j.open(at) {
		candidates[c.Process] = append(candidates[c.Process], c)
	}
	for _, some := range candidates {
		slices.SortStableFunc(some, func(a, b *record.Call) int { return urgency(a) - urgency(b) })
	}
	// As few as will do: what isn't needed here may be needed elsewhere.
	for most := range 4 {
		if len(claims) > 0 {
			s := search{goal: after.State, revision: j.revisionOf(at - 1), optional: candidates[claims[0].Process], most: most}
			if s.from(before.State, claims, 0) {
				return append(s.taken, claims...)
			}
			continue
		}
		for _, process := range slices.SortedFunc(maps.Keys(candidates), func(a, b string) int {
			return cmp.Or(urgency(candidates[a][0])-urgency(candidates[b][0]), cmp.Compare(a, b))
		}) {
			s := search{goal: after.State, revision: j.revisionOf(at - 1), optional: candidates[process], most: most}
			if s.from(before.State, nil, 0) && len(s.taken) > 0 {
				return s.taken
			}
		}
	}
	return nil
}

// open are the writes that may have made a version and don't say so.
func (j *Judge) open(at int) []*record.Call {
	before, after := j.Versions[at-1], j.Versions[at]
	var open []*record.Call
	for _, c := range j.Calls {
		// Who found the map as wanted later may have made it so himself.
		doubtful := c.Fate() == record.Unknown || c.Somewhen() || j.asWanted[c]
		if c.IsWrite() && !c.IsForeign() && doubtful && j.used[c] == 0 && c.Start < j.until[at] && shows(c, before.State, after.State) {
			open = append(open, c)
		}
	}
	return open
}

// blame says of a version that nobody says he made, or might have made it.
func (j *Judge) blame(at int) {
	before, after := j.Versions[at-1], j.Versions[at]
	var suspects []*record.Call
	for _, c := range j.Calls {
		if c.IsWrite() && shows(c, before.State, after.State) && len(j.own(c, at)) > len(j.own(c, at-1)) {
			suspects = append(suspects, c)
		}
	}
	j.violate("each-change-has-a-writer", suspects, []int{at - 1, at}, "nobody says he made revision %d, or might have", after.Revision)
}

// urgency orders the writes that may have made a version: first those that must have made one.
func urgency(c *record.Call) int {
	if c.Somewhen() {
		return 0
	}
	return 1
}

// shows: something of the write is in the version after it; whatever it changed may be hidden by another of its group.
func shows(c *record.Call, before, after model.State) bool {
	if model.Equal(before, after) {
		// It left its stamp alone.
		return model.Equal(model.Apply(before, c.Ops), before)
	}
	for _, op := range c.Ops {
		value, there := after[op[1]]
		_, was := before[op[1]]
		switch {
		case op[0] == "truncate":
			return true
		case op[0] == "delete" && !there && was, op[0] != "delete" && there && value == op[2]:
			return true
		}
	}
	return false
}

// search looks for an order in which writes lead to a state.
type search struct {
	goal     model.State
	revision string
	optional []*record.Call
	taken    []*record.Call
	// most is how many of the optional ones may be taken.
	most, steps int
}

func (s *search) from(state model.State, must []*record.Call, made int) bool {
	if s.steps++; s.steps > 200_000 {
		return false
	}
	if len(must) == 0 && (made > 0 || len(s.taken) > 0) && model.Equal(state, s.goal) {
		return true
	}
	for number, c := range must {
		if next, can := s.step(state, c, made); can {
			rest := append(append([]*record.Call(nil), must[:number]...), must[number+1:]...)
			if s.from(next, rest, made+1) {
				return true
			}
		}
	}
	if len(s.taken) >= s.most {
		return false
	}
	for number, c := range s.optional {
		if c == nil {
			continue
		}
		if next, can := s.step(state, c, made); can {
			s.optional[number] = nil
			s.taken = append(s.taken, c)
			if s.from(next, must, made+1) {
				return true
			}
			s.taken = s.taken[:len(s.taken)-1]
			s.optional[number] = c
		}
	}
	return false
}

// step: a member of a group is made on top of those before it. Only the first finds the map at its revision.
func (s *search) step(state model.State, c *record.Call, made int) (model.State, bool) {
	revision := s.revision
	if made > 0 {
		revision = ""
	}
	if !model.Holds(state, revision, c.Conditions) {
		return nil, false
	}
	return model.Apply(state, c.Ops), true
}

func names(calls []*record.Call) string {
	ids := make([]string, len(calls))
	for at, c := range calls {
		ids[at] = fmt.Sprintf("%s (%s)", c.ID, c.Process)
	}
	return strings.Join(ids, ", ")
}
