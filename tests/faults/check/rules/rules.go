// Package rules says what is wrong with a history. Each rule is a sentence of docs/contract.md; none of them knows
// how mapstore works.
package rules

import (
	"fmt"
	"strconv"
	"time"

	"faults/check/record"
)

// Violation is a rule that was broken.
type Violation struct {
	// Rule is its name.
	Rule string
	What string
	// Calls that are involved.
	Calls []*record.Call `json:"-"`
	// Versions that are involved, by their index.
	Versions []int `json:"-"`
}

// Judge holds what the rules share.
type Judge struct {
	*record.History
	Violations []Violation
	// Undecided are keys for which Porcupine ran out of time.
	Undecided int
	// AsWanted counts the writes that say they changed what another write of the same content did.
	AsWanted int
	// Busy counts the calls that came late while others had the processors.
	Busy int
	// Overrun is by how much the latest call came after its deadline, less the lateness of timers.
	Overrun time.Duration

	// claims are the writes that say they made a version, by its index.
	claims map[int][]*record.Call
	// known is the version by which a call is known to have ended: see knownBy.
	known map[*record.Call]int
	// until is, for each version, before which moment it must have been made.
	until []int64
	// used is the version that a write has made which doesn't say so.
	used map[*record.Call]int
	// asWanted are writes in doubt that say they made a version which another write made: the map was as they wanted.
	asWanted map[*record.Call]bool
}

// All judges a history by every rule.
func All(h *record.History) *Judge {
	j := &Judge{History: h, claims: map[int][]*record.Call{}, known: map[*record.Call]int{}, used: map[*record.Call]int{},
		asWanted: map[*record.Call]bool{}}
	j.revisions()
	j.explain()
	j.notApplied()
	j.once()
	j.order()
	j.memory()
	j.deadlines()
	j.wellAfterwards()
	j.linearizable()
	return j
}

func (j *Judge) violate(rule string, calls []*record.Call, versions []int, format string, args ...any) {
	j.Violations = append(j.Violations, Violation{rule, fmt.Sprintf(format, args...), calls, versions})
}

func (j *Judge) revisionOf(index int) string {
	if !j.Versions[index].Exists {
		return ""
	}
	return strconv.FormatInt(j.Versions[index].Revision, 10)
}

// at is the version that a call told the revision of.
func (j *Judge) at(c *record.Call) (int, bool) {
	if c.Revision == nil || *c.Revision == "" {
		return 0, false
	}
	index, there := j.Index[*c.Revision]
	return index, there
}
