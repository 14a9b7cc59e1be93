// Package model is the map without servers and clients: what operations make of it, when conditions hold.
package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// State is the map's content.
type State = map[string]string

// Apply gives the state after the operations, the one before is left as it is.
func Apply(before State, ops [][]string) State {
	after := maps.Clone(before)
	if after == nil {
		after = State{}
	}
	for _, op := range ops {
		switch op[0] {
		case "set", "force_set":
			after[op[1]] = op[2]
		case "delete":
			delete(after, op[1])
		case "truncate":
			clear(after)
		}
	}
	return after
}

// Equal compares two states; a missing map is an empty one.
func Equal(a, b State) bool { return maps.Equal(a, b) }

// Holds tells whether all conditions hold in a state at a revision ("" if it is none).
func Holds(state State, revision string, conditions [][]string) bool {
	for _, condition := range conditions {
		value, present := state[condition[1]]
		holds := true
		switch condition[0] {
		case "absent":
			holds = !present
		case "present":
			holds = present
		case "equals":
			holds = present && value == condition[2]
		case "revision":
			holds = revision == condition[2]
		}
		if !holds {
			return false
		}
	}
	return true
}

// Difference tells what became of one state in another.
func Difference(before, after State) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if value, there := after[key]; !there {
			parts = append(parts, fmt.Sprintf("-%s (was %q)", key, before[key]))
		} else if value != before[key] {
			parts = append(parts, fmt.Sprintf("%s %q -> %q", key, before[key], value))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if _, there := before[key]; !there {
			parts = append(parts, fmt.Sprintf("+%s %q", key, after[key]))
		}
	}
	if len(parts) == 0 {
		return "the same keys and values"
	}
	return strings.Join(parts, ", ")
}
