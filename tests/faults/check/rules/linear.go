package rules

import (
	"path/filepath"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"

	"faults/check/model"
	"faults/check/record"
)

// enough is how long Porcupine may think about one key.
const enough = 10 * time.Second

// access is what one call does to one key.
type access struct {
	call       *record.Call
	key        string
	conditions [][]string
	ops        [][]string
	// unmet: the conditions did not hold.
	unmet bool
	// unknown: it may have been done or not.
	unknown bool
	reads   bool
	value   string
	present bool
}

// cell is one key's state.
type cell struct {
	value   string
	present bool
}

// linearizable: the uncached calls about a key, by their times and answers alone, are those of one register. This asks
// no server and doesn't look at revisions, so it doesn't depend on the ground truth.
func (j *Judge) linearizable() {
	for _, key := range j.keys() {
		register, operations := j.about(key)
		result := porcupine.CheckOperationsTimeout(register, operations, enough)
		switch result {
		case porcupine.Unknown:
			j.Undecided++
		case porcupine.Illegal:
			calls := make([]*record.Call, 0, 1)
			for _, operation := range operations[:min(1, len(operations))] {
				calls = append(calls, operation.Input.(access).call)
			}
			j.violate("uncached-calls-are-linearizable", calls, nil, "key %s: no order of its calls explains their answers", key)
		}
	}
}

// about gives the calls about a key, as a register's.
func (j *Judge) about(key string) (porcupine.Model, []porcupine.Operation) {
	var operations []porcupine.Operation
	clients := map[string]int{}
	for _, c := range j.Calls {
		one, about := j.accessTo(c, key)
		if !about {
			continue
		}
		if _, there := clients[c.Client]; !there {
			clients[c.Client] = len(clients)
		}
		end := c.End
		if one.unknown {
			end = record.Never
		}
		operations = append(operations, porcupine.Operation{ClientId: clients[c.Client], Input: one, Call: c.Start, Return: end})
	}
	value, present := j.Versions[0].State[key]
	return register(cell{value, present}), operations
}

// Pictures draws the calls about the keys of a violation, as HTML files in the history's folder.
func (j *Judge) Pictures(v Violation) ([]string, error) {
	const most = 2
	var drawn, keys []string
	for _, c := range v.Calls {
		for _, op := range append(append([][]string(nil), c.Ops...), []string{"", c.Key}) {
			if op[1] != "" && !slices.Contains(keys, op[1]) && len(keys) < most {
				keys = append(keys, op[1])
			}
		}
	}
	for _, key := range keys {
		register, operations := j.about(key)
		_, info := porcupine.CheckOperationsVerbose(register, operations, enough)
		path := filepath.Join(j.Folder, key+".html")
		if err := porcupine.VisualizePath(register, info, path); err != nil {
			return drawn, err
		}
		drawn = append(drawn, path)
	}
	return drawn, nil
}

func (j *Judge) keys() []string {
	found := map[string]bool{}
	for _, c := range j.Calls {
		for _, op := range c.Ops {
			if op[0] != "truncate" {
				found[op[1]] = true
			}
		}
	}
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func (j *Judge) accessTo(c *record.Call, key string) (access, bool) {
	one := access{call: c, key: key}
	if !c.IsWrite() {
		if c.Mode != "none" || !c.IsOk() {
			return one, false
		}
		one.reads = true
		switch {
		case c.Verb == "get" && c.Key == key && c.Value != nil:
			one.value, one.present = *c.Value, true
		case c.Verb == "get" && c.Key == key:
		case c.Verb == "snapshot":
			one.value, one.present = c.Snapshot[key]
			_, one.present = c.Snapshot[key]
		default:
			return one, false
		}
		return one, true
	}
	if c.Verb == "delete map" {
		one.ops = [][]string{{"delete", key, ""}}
	}
	for _, op := range c.Ops {
		if op[0] == "truncate" {
			one.ops = append(one.ops, []string{"delete", key, ""})
		} else if op[1] == key {
			one.ops = append(one.ops, op)
		}
	}
	others := false
	for _, condition := range c.Conditions {
		if condition[0] != "revision" && condition[1] == key {
			one.conditions = append(one.conditions, condition)
		} else {
			others = true
		}
	}
	switch {
	case c.IsOk() && !c.Changed && c.Mode != "none" && len(c.Conditions) == 0:
		return one, false // compared with memory
	case c.IsOk():
	case c.Outcome == "Conflict" && !c.Retryable && !others && c.Verb != "update":
		one.unmet = true
		return one, len(one.conditions) > 0
	case c.IsForeign() && c.Outcome == "Rejected", !c.IsForeign() && c.Fate() != record.Unknown:
		return one, false
	default:
		one.unknown = true
		if len(one.ops) == 0 {
			return one, false
		}
	}
	return one, len(one.ops)+len(one.conditions) > 0
}

func register(first cell) porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{first} },
		Step: func(state, input, _ any) []any {
			now, one := state.(cell), input.(access)
			asState := model.State{}
			if now.present {
				asState[one.key] = now.value
			}
			if one.reads {
				if now.present == one.present && now.value == one.value {
					return []any{now}
				}
				return nil
			}
			holds := model.Holds(asState, "", one.conditions)
			if one.unmet {
				if holds {
					return nil
				}
				return []any{now}
			}
			value, present := model.Apply(asState, one.ops)[one.key]
			after := cell{value, present}
			switch {
			case one.unknown && holds && after != now:
				return []any{now, after}
			case one.unknown:
				return []any{now}
			case holds:
				return []any{after}
			}
			return nil
		},
		Equal:             func(a, b any) bool { return a.(cell) == b.(cell) },
		DescribeOperation: func(input, _ any) string { return input.(access).call.String() },
	}).ToModel()
}
