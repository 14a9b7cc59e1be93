package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Summary adds up the verdicts below a folder.
func Summary(folder string) error {
	found, err := filepath.Glob(filepath.Join(folder, "*", "verdict.json"))
	if err != nil {
		return err
	}
	total := Verdict{ByCall: map[string]int{}, ByOutcome: map[string]int{}, ByFault: map[string]int{}, Met: map[string]int{}, MetUnknown: map[string]int{}}
	countable, violated, rules := 0, 0, map[string]int{}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var v Verdict
		if err := json.Unmarshal(text, &v); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if v.Countable {
			countable++
		}
		if len(v.Violations) > 0 {
			violated++
		}
		broken := map[string]bool{}
		for _, one := range v.Violations {
			broken[one.Rule] = true
		}
		for rule := range broken {
			rules[rule]++
		}
		total.Faults = v.Faults
		total.Calls += v.Calls
		total.Written += v.Written
		total.Undecided += v.Undecided
		total.AsWanted += v.AsWanted
		total.Busy += v.Busy
		total.OverrunMS = max(total.OverrunMS, v.OverrunMS)
		total.Milliseconds += v.Milliseconds
		for _, pair := range [][2]map[string]int{{total.ByCall, v.ByCall}, {total.ByOutcome, v.ByOutcome}, {total.ByFault, v.ByFault}, {total.Met, v.Met}, {total.MetUnknown, v.MetUnknown}} {
			for name, count := range pair[1] {
				pair[0][name] += count
			}
		}
	}
	fmt.Printf("\n%d histories (%d count), %d with violations; %d calls, %d acknowledged writes; largest overrun of a deadline %.1f ms; "+
		"%d keys that Porcupine didn't decide; %d writes in doubt that took an equal one of another writer for theirs; "+
		"%d calls came late while others had the processors\n", len(found), countable, violated, total.Calls, total.Written, total.OverrunMS, total.Undecided, total.AsWanted, total.Busy)
	for _, rule := range sorted(rules) {
		fmt.Printf("  broken in %d: %s\n", rules[rule], rule)
	}
	neverOccurred(&total)
	fmt.Println("outcomes:")
	for _, name := range sorted(total.ByOutcome) {
		fmt.Printf("  %6d %s\n", total.ByOutcome[name], name)
	}
	fmt.Println("faults, the calls that met them, and how many of those don't know their outcome:")
	for _, name := range sorted(total.ByFault) {
		share := 0.0
		if total.Met[name] > 0 {
			share = 100 * float64(total.MetUnknown[name]) / float64(total.Met[name])
		}
		fmt.Printf("  %6d %-40s %6d %5.1f %%\n", total.ByFault[name], name, total.Met[name], share)
	}
	return nil
}

// vocabulary is what a store can be asked, in each language.
var vocabulary = []string{"open", "get", "keys", "len", "contains", "snapshot", "set", "force_set", "delete", "truncate", "apply",
	"compare_and_set", "update", "subscribe", "refresh", "usage", "verify_connection", "close"}

// neverOccurred says what users do and networks do, and these histories didn't.
func neverOccurred(total *Verdict) {
	var calls, faults []string
	for _, verb := range vocabulary {
		for _, language := range []string{"rust", "go", "python", "c", "cpp"} {
			for _, mode := range []string{"none", "exclusive", "watched"} {
				if name := language + "/" + mode + "/" + verb; total.ByCall[name] == 0 {
					calls = append(calls, name)
				}
			}
		}
	}
	for _, fault := range total.Faults {
		if total.ByFault[fault] == 0 {
			faults = append(faults, fault)
		}
	}
	fmt.Printf("calls that never occurred: %s\n", strings.Join(shorten(calls), ", "))
	fmt.Printf("faults that never occurred: %s\n", strings.Join(faults, ", "))
}

// shorten writes a verb that occurs nowhere, and a language or mode that makes no call at all, as one.
func shorten(names []string) []string {
	all := map[string]int{}
	parts := func(name string) (keys [3]string) {
		copy(keys[:], strings.SplitN(name, "/", 3))
		return [3]string{keys[0] + " (all)", keys[1] + " (all)", keys[2] + " (all)"}
	}
	for _, name := range names {
		for _, key := range parts(name) {
			all[key]++
		}
	}
	full := [3]int{3 * len(vocabulary), 5 * len(vocabulary), 15}
	var short []string
	for _, name := range names {
		said := name
		for number, key := range parts(name) {
			if all[key] == full[number] {
				said = key
				break
			}
		}
		if !slices.Contains(short, said) {
			short = append(short, said)
		}
	}
	return short
}
