package rules

import (
	"slices"
	"strconv"
	"testing"

	"faults/check/model"
	"faults/check/record"
)

// history makes one: the map is at revision 10, 20, 30, … with these states (nil: it doesn't exist).
func history(states []model.State, calls ...*record.Call) *record.History {
	h := &record.History{Index: map[string]int{}, Folder: ""}
	for at, state := range states {
		revision := int64(10 * (at + 1))
		h.Versions = append(h.Versions, record.Version{Revision: revision, Exists: state != nil, State: state})
		if state != nil {
			h.Index[strconv.FormatInt(revision, 10)] = at
		}
	}
	for number, c := range calls {
		if c.ID == "" {
			c.ID = "call" + strconv.Itoa(number)
		}
		if c.Process == "" {
			c.Process = "p"
		}
		if c.Mode == "" {
			c.Mode = "none"
		}
		if c.Outcome == "" {
			c.Outcome = "Ok"
		}
		c.Client = c.Process + strconv.Itoa(number)
		c.TimeoutMS = 1000
		h.Calls = append(h.Calls, c)
	}
	slices.SortStableFunc(h.Calls, func(a, b *record.Call) int { return int(a.Start - b.Start) })
	return h
}

func told(revision int) *string {
	text := strconv.Itoa(revision)
	return &text
}

func value(text string) *string { return &text }

func set(start, end int64, key, to string, revision int) *record.Call {
	return &record.Call{Verb: "set", Ops: [][]string{{"set", key, to}}, Start: start, End: end, Revision: told(revision), Changed: true}
}

func get(start, end int64, key string, found *string) *record.Call {
	return &record.Call{Verb: "get", Key: key, Start: start, End: end, Value: found}
}

func foreign(start, end int64, key, to string, revision int) *record.Call {
	c := set(start, end, key, to, revision)
	c.Verb, c.Mode, c.Process = "patch", "foreign", "kubectl"
	return c
}

func in(mode string, c *record.Call) *record.Call {
	c.Mode = mode
	return c
}

func by(process string, c *record.Call) *record.Call {
	c.Process = process
	return c
}

func failed(outcome, message string, c *record.Call) *record.Call {
	c.Outcome, c.Message, c.Revision, c.Changed = outcome, message, nil, false
	return c
}

func unchanged(c *record.Call) *record.Call {
	c.Changed = false
	return c
}

func snapshot(start, end int64, revision int, state model.State) *record.Call {
	return &record.Call{Verb: "snapshot", Start: start, End: end, Revision: told(revision), Snapshot: state}
}

func expect(t *testing.T, h *record.History, want ...string) {
	t.Helper()
	h.Folder = t.TempDir()
	var got []string
	j := All(h)
	for _, v := range j.Violations {
		if !slices.Contains(got, v.Rule) {
			got = append(got, v.Rule)
		}
	}
	for _, rule := range want {
		if !slices.Contains(got, rule) {
			t.Errorf("%s was not found; found: %v", rule, j.Violations)
		}
	}
	if len(want) == 0 && len(got) > 0 {
		t.Errorf("nothing is wrong; found: %v", j.Violations)
	}
}

var empty = model.State{}

func TestASoundHistory(t *testing.T) {
	on := model.State{"k": "on"}
	swap := &record.Call{Verb: "compare_and_set", Ops: [][]string{{"set", "k", "off"}}, Conditions: [][]string{{"equals", "k", "on"}},
		Start: 50, End: 60, Revision: told(30), Changed: true}
	expect(t, history([]model.State{empty, on, {"k": "off"}, nil, empty, {"k": "on"}},
		set(10, 20, "k", "on", 20), get(30, 40, "k", value("on")), swap,
		in("exclusive", snapshot(62, 64, 20, on)), snapshot(65, 70, 30, model.State{"k": "off"}),
		&record.Call{Verb: "delete map", Mode: "foreign", Process: "kubectl", Start: 71, End: 75, Changed: true},
		get(80, 90, "k", nil), set(100, 110, "k", "on", 60), unchanged(set(120, 130, "k", "on", 60))))
}

func TestAGroupOfOneProcess(t *testing.T) {
	overwritten, last := set(10, 30, "k", "a", 20), set(11, 30, "k", "b", 20)
	expect(t, history([]model.State{empty, {"k": "b"}}, overwritten, last))
	expect(t, history([]model.State{empty, {"k": "b"}}, by("q", set(10, 30, "k", "a", 20)), set(11, 30, "k", "b", 20)),
		"a-revision-is-made-by-one-write")
}

func TestAnAcknowledgedDeleteThatNeverHappened(t *testing.T) {
	deleted := &record.Call{Verb: "delete", Ops: [][]string{{"delete", "k", ""}}, Start: 15, End: 60, Revision: told(20), Changed: true}
	theirs := foreign(10, 20, "k", "", 20)
	theirs.Ops = [][]string{{"delete", "k", ""}}
	on := model.State{"k": "on"}
	expect(t, history([]model.State{on, empty, on}, theirs, foreign(30, 40, "k", "on", 30), deleted), "a-revision-is-made-by-one-write")
	expect(t, history([]model.State{on, empty, on}, theirs, foreign(30, 40, "k", "on", 30),
		&record.Call{Verb: "delete", Ops: [][]string{{"delete", "k", ""}}, Start: 50, End: 60, Revision: told(20), Changed: true}),
		"no-call-goes-back-in-time")
}

func TestAnAcknowledgedWriteIsLost(t *testing.T) {
	expect(t, history([]model.State{empty, {"other": "x"}}, set(10, 20, "k", "on", 20)), "an-acknowledged-write-is-in-its-revision")
	expect(t, history([]model.State{empty}, set(10, 20, "k", "on", 20)), "a-revision-told-is-one-of-the-map")
	expect(t, history([]model.State{empty}, set(10, 20, "k", "on", 10)), "a-revision-told-is-the-write-s-own")
	lost := set(10, 20, "k", "on", 20)
	expect(t, history([]model.State{empty, {"k": "on"}, empty}, lost), "each-change-has-a-writer")
}

func TestWhatFailedIsWritten(t *testing.T) {
	c := failed("Deadline", "nothing was written", set(10, 20, "k", "call0", 20))
	expect(t, history([]model.State{empty, {"k": "call0"}}, c), "what-failed-is-not-written", "each-change-has-a-writer")
	may := failed("OutcomeUnknown", "", set(10, 20, "k", "call0", 20))
	expect(t, history([]model.State{empty, {"k": "call0"}}, may))
	expect(t, history([]model.State{empty}, failed("OutcomeUnknown", "", set(10, 20, "k", "call0", 20))))
	expect(t, history([]model.State{empty}, failed("Cancelled", "the call was cancelled", set(10, 20, "k", "call0", 20))),
		"an-error-says-whether-it-was-written")
}

func TestAWriteIsMadeTwice(t *testing.T) {
	mine := set(10, 20, "k", "call0", 20)
	expect(t, history([]model.State{empty, {"k": "call0"}, {"k": "x"}, {"k": "call0"}}, mine, foreign(12, 18, "k", "x", 30)), "no-write-is-made-twice")
	may := failed("OutcomeUnknown", "", set(10, 20, "k", "on", 20))
	deleted := foreign(12, 18, "k", "", 30)
	deleted.Ops = [][]string{{"delete", "k", ""}}
	expect(t, history([]model.State{empty, {"k": "on"}, empty, {"k": "on"}}, may, deleted), "each-change-has-a-writer")
}

func TestABatchIsHalfMade(t *testing.T) {
	both := &record.Call{Verb: "apply", Ops: [][]string{{"set", "a", "1"}, {"set", "b", "1"}}, Start: 10, End: 20, Revision: told(20), Changed: true}
	expect(t, history([]model.State{empty, {"a": "1"}}, both), "an-acknowledged-write-is-in-its-revision")
	may := failed("OutcomeUnknown", "", &record.Call{Verb: "apply", Ops: [][]string{{"set", "a", "1"}, {"set", "b", "1"}}, Start: 10, End: 20})
	expect(t, history([]model.State{empty, {"a": "1"}}, may), "each-change-has-a-writer")
}

func TestAConditionDidNotHold(t *testing.T) {
	swap := func(condition ...string) *record.Call {
		return &record.Call{Verb: "apply", Ops: [][]string{{"set", "k", "new"}}, Conditions: [][]string{condition}, Start: 10, End: 20,
			Revision: told(20), Changed: true}
	}
	states := []model.State{{"k": "old"}, {"k": "new"}}
	expect(t, history(states, swap("equals", "k", "old")))
	expect(t, history(states, swap("revision", "", "10")))
	for _, condition := range [][]string{{"equals", "k", "other"}, {"absent", "k", ""}, {"present", "no", ""}, {"revision", "", "9"}} {
		expect(t, history(states, swap(condition...)), "an-acknowledged-write-is-in-its-revision")
	}
	unmet := failed("Conflict", "", swap("equals", "k", "old"))
	expect(t, history([]model.State{{"k": "old"}}, unmet), "no-call-goes-back-in-time", "uncached-calls-are-linearizable")
}

func TestUnchangedButItWasnt(t *testing.T) {
	states := []model.State{empty, {"k": "on"}, {"k": "off"}}
	made := []*record.Call{foreign(1, 5, "k", "on", 20), foreign(6, 9, "k", "off", 30)}
	expect(t, history(states, append(made, unchanged(set(10, 20, "k", "on", 30)))...), "unchanged-means-it-was-so")
	expect(t, history(states, append(made, unchanged(set(10, 20, "k", "on", 20)))...), "no-call-goes-back-in-time")
	// Compared with memory, which may be older.
	expect(t, history(states, append(made, in("exclusive", unchanged(set(10, 20, "k", "on", 20))))...))
}

func TestReadsOfTheServer(t *testing.T) {
	states := []model.State{empty, {"k": "on"}, {"k": "off"}}
	made := []*record.Call{foreign(1, 5, "k", "on", 20), foreign(6, 9, "k", "off", 30)}
	expect(t, history(states, append(made, get(10, 20, "k", value("on")))...), "no-call-goes-back-in-time", "uncached-calls-are-linearizable")
	expect(t, history(states, append(made, get(8, 20, "k", value("on")))...))
	expect(t, history(states, append(made, get(10, 20, "k", value("never")))...), "no-call-goes-back-in-time")
	expect(t, history(states, append(made, snapshot(10, 20, 30, model.State{"k": "on"}))...), "a-snapshot-is-a-version")
	// Seen before it was written.
	expect(t, history(states, foreign(1, 5, "k", "on", 20), foreign(16, 19, "k", "off", 30), snapshot(10, 15, 30, states[2])), "no-call-goes-back-in-time")
}

func TestReadsOfMemory(t *testing.T) {
	states := []model.State{empty, {"k": "on"}, {"k": "off"}}
	made := []*record.Call{foreign(1, 5, "k", "on", 20), foreign(6, 9, "k", "off", 30)}
	see := func(start int64, revision, at int) *record.Call {
		return in("exclusive", snapshot(start, start+2, revision, states[at]))
	}
	expect(t, history(states, append(made, see(10, 20, 1))...))
	expect(t, history(states, append(made, see(10, 30, 2), see(20, 20, 1))...), "memory-never-goes-back")
	expect(t, history(states, append(made, by("p", see(10, 30, 2)), by("q", see(20, 20, 1)))...))
	refresh := in("exclusive", &record.Call{Verb: "refresh", Start: 10, End: 12})
	expect(t, history(states, append(made, refresh, see(20, 20, 1))...), "memory-never-goes-back")
	mine := in("exclusive", set(10, 12, "k", "mine", 40))
	expect(t, history(append(states, model.State{"k": "mine"}), append(made, mine, see(20, 30, 2))...), "memory-never-goes-back")
	gone := in("exclusive", get(20, 22, "k", nil))
	expect(t, history(states, append(made, see(10, 20, 1), gone)...), "memory-never-goes-back")
}

func TestTimeAndLife(t *testing.T) {
	late := get(0, 1_200_000_000, "k", nil)
	expect(t, history([]model.State{empty}, late), "no-call-outlives-its-deadline")
	late.Late = 150_000_000
	expect(t, history([]model.State{empty}, late))
	cancelled := failed("Cancelled", "", get(0, 500_000_000, "k", nil))
	cancelled.Cancelled = 50_000_000
	expect(t, history([]model.State{empty}, cancelled), "no-call-outlives-its-deadline")
	quiet := failed("Unavailable", "", get(0, 10, "k", nil))
	quiet.Quiet = true
	expect(t, history([]model.State{empty}, quiet), "the-store-goes-on-when-the-faults-are-over")
	expect(t, history([]model.State{empty}, failed("Forbidden", "", get(0, 10, "k", nil))), "an-error-has-its-cause")
	restarted := history([]model.State{empty}, failed("Forbidden", "", get(5_000_000_000, 5_900_000_000, "k", nil)))
	restarted.Faults = []record.Fired{{At: 1_000_000_000, Kind: "API server and etcd killed"}}
	expect(t, restarted)
	restarted.Calls[0].End = 5_200_000_000
	expect(t, restarted, "an-error-has-its-cause")
}

func TestAWriteInDoubtFindsTheMapAsWanted(t *testing.T) {
	on := model.State{"k": "on"}
	doubtful := func(calls ...*record.Call) *record.History {
		h := history([]model.State{empty, on}, calls...)
		h.Faults = []record.Fired{{At: 12, Kind: "cut before it reached the server", Method: "PATCH"}}
		return h
	}
	theirs := by("q", set(13, 30, "k", "on", 20))
	expect(t, doubtful(theirs, set(10, 40, "k", "on", 20)))
	expect(t, doubtful(foreign(1, 30, "k", "on", 20), set(10, 40, "k", "on", 20)))
	// It wasn't so, it was forced, it hung on a condition, or it began when that was over: no.
	expect(t, doubtful(theirs, set(10, 40, "k", "off", 20)), "a-revision-is-made-by-one-write")
	later := history([]model.State{empty, on, on}, set(10, 40, "k", "on", 30), foreign(20, 30, "other", "", 30))
	later.Calls[1].Ops[0][0] = "delete"
	later.Faults = doubtful().Faults
	expect(t, later)
	forced := set(10, 40, "k", "on", 20)
	forced.Ops[0][0] = "force_set"
	expect(t, doubtful(theirs, forced), "a-revision-is-made-by-one-write")
	conditional := set(10, 40, "k", "on", 20)
	conditional.Conditions = [][]string{{"absent", "k", ""}}
	expect(t, doubtful(theirs, conditional), "a-revision-is-made-by-one-write")
	expect(t, history([]model.State{empty, on}, theirs, set(10, 40, "k", "on", 20)), "a-revision-is-made-by-one-write")
	// Applied, and it can't tell when.
	somewhen := set(10, 40, "k", "on", 20)
	somewhen.Revision = nil
	expect(t, doubtful(somewhen))
	expect(t, history([]model.State{empty}, somewhen), "an-acknowledged-write-is-in-its-revision")
}
