// Package report prints what the rules found.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"faults/check/model"
	"faults/check/record"
	"faults/check/rules"
)

// Verdict is what is kept of a history.
type Verdict struct {
	Seed       int64
	Violations []rules.Violation
	Undecided  int
	AsWanted   int
	Busy       int
	OverrunMS  float64
	Countable  bool
	Why        string
	Calls      int
	Written    int
	// Counts by name: calls as language/mode/verb, outcomes, faults, faults that a call with an unknown outcome met.
	ByCall, ByOutcome, ByFault, Met, MetUnknown map[string]int
	Milliseconds                                int64
	// Faults are the names of all that there are.
	Faults []string
}

// Judge judges histories and says of each in a line how it went; whether all are sound.
func Judge(folders []string) (bool, error) {
	sound := true
	for _, folder := range folders {
		h, err := record.Read(folder)
		if err != nil {
			return false, err
		}
		started := time.Now()
		j := rules.All(h)
		verdict := verdictOf(j)
		text, err := json.MarshalIndent(verdict, "", " ")
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, "verdict.json"), text, 0o644)
		}
		if err != nil {
			return false, err
		}
		sound = sound && len(j.Violations) == 0
		fmt.Printf("seed %d: %d calls, %d unknown, %d versions, %d faults, %.1f s, judged in %.1f s%s: %s\n", h.About.Seed, verdict.Calls,
			verdict.ByOutcome["OutcomeUnknown"], len(h.Versions), len(h.Faults), float64(h.About.Milliseconds)/1e3,
			time.Since(started).Seconds(), verdict.Why, word(len(j.Violations)))
		tell(j)
		if err := draw(j); err != nil {
			return false, err
		}
	}
	return sound, nil
}

func word(violations int) string {
	if violations == 0 {
		return "sound"
	}
	return fmt.Sprintf("%d VIOLATIONS", violations)
}

// tell shows each violation with what lies around it.
func tell(j *rules.Judge) {
	const most = 5
	for number, v := range j.Violations {
		if number == most {
			fmt.Printf("  … and %d more\n", len(j.Violations)-most)
			return
		}
		fmt.Printf("  %s: %s\n", v.Rule, v.What)
		for _, c := range v.Calls {
			fmt.Printf("    %s\n", c)
			for _, fault := range j.Faults {
				if fault.At > c.Start && fault.At < c.End {
					fmt.Printf("      meanwhile at %.1f: %s %s\n", float64(fault.At%1e12)/1e6, fault.Method, fault.Kind)
				}
			}
		}
		for _, at := range v.Versions {
			tellVersion(j, at)
		}
	}
}

// draw makes a picture of each key that a violation is about.
func draw(j *rules.Judge) error {
	const most = 3
	drawn := map[string]bool{}
	for _, v := range j.Violations[:min(most, len(j.Violations))] {
		pictures, err := j.Pictures(v)
		if err != nil {
			return err
		}
		for _, picture := range pictures {
			drawn[picture] = true
		}
	}
	for picture := range drawn {
		fmt.Printf("  drawn: %s\n", picture)
	}
	return nil
}

// tellVersion shows what a version made of the one before.
func tellVersion(j *rules.Judge, at int) {
	version := j.Versions[at]
	if at == 0 {
		fmt.Printf("    revision %d was the first\n", version.Revision)
		return
	}
	before := j.Versions[at-1]
	by := ""
	if version.Marker != before.Marker && version.Marker != "" {
		by = ", by " + version.Marker
	}
	what := model.Difference(before.State, version.State)
	switch {
	case !version.Exists:
		what = "the map was deleted"
	case !before.Exists:
		what = "the map was made: " + what
	}
	fmt.Printf("    revision %d -> %d%s: %s\n", before.Revision, version.Revision, by, what)
}

func verdictOf(j *rules.Judge) *Verdict {
	v := &Verdict{
		Seed: j.About.Seed, Violations: j.Violations, Undecided: j.Undecided, AsWanted: j.AsWanted, Busy: j.Busy, OverrunMS: float64(j.Overrun) / 1e6,
		ByCall: map[string]int{}, ByOutcome: map[string]int{}, ByFault: map[string]int{}, Met: map[string]int{}, MetUnknown: map[string]int{},
		Milliseconds: j.About.Milliseconds, Faults: j.About.Faults,
	}
	for _, fault := range j.Faults {
		v.ByFault[fault.Kind]++
	}
	clients, languages, writers := map[string]bool{}, map[string]bool{}, map[string]map[string]bool{}
	for _, c := range j.Calls {
		if c.IsForeign() {
			v.ByCall["foreign/"+c.Verb]++
			continue
		}
		v.Calls++
		v.ByCall[c.Language+"/"+c.Mode+"/"+c.Verb]++
		v.ByOutcome[c.Outcome]++
		clients[c.Client], languages[c.Language] = true, true
		if c.IsWrite() && c.IsOk() && c.Changed {
			v.Written++
			for _, op := range c.Ops {
				if writers[op[1]] == nil {
					writers[op[1]] = map[string]bool{}
				}
				writers[op[1]][c.Client] = true
			}
		}
		met := map[string]bool{}
		for _, fault := range j.Faults {
			if fault.At >= c.Start && fault.At <= c.End {
				met[fault.Kind] = true
			}
		}
		for kind := range met {
			v.Met[kind]++
			if c.IsWrite() && c.Fate() == record.Unknown {
				v.MetUnknown[kind]++
			}
		}
	}
	v.Why = why(v, len(clients), len(languages), writers)
	v.Countable = v.Why == ""
	return v
}

// why tells why a history doesn't count; nothing if it does.
func why(v *Verdict, clients, languages int, writers map[string]map[string]bool) string {
	shared := false
	for _, of := range writers {
		shared = shared || len(of) > 1
	}
	var reasons []string
	need := func(holds bool, reason string) {
		if !holds {
			reasons = append(reasons, reason)
		}
	}
	need(clients >= 4, "clients")
	need(languages >= 2, "languages")
	need(v.Calls >= 200, "calls")
	need(shared, "no shared key")
	need(len(v.ByFault) > 0, "no fault")
	need(v.ByOutcome["OutcomeUnknown"]*10 <= v.Calls, "unknown outcomes")
	if len(reasons) == 0 {
		return ""
	}
	return " (doesn't count: " + strings.Join(reasons, ", ") + ")"
}

func sorted(counts map[string]int) []string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
