// Judges histories by their files alone: check judge FOLDER..., check summary FOLDER-OF-HISTORIES.
package main

import (
	"fmt"
	"os"

	"faults/check/report"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: check judge HISTORY... | check summary HISTORIES")
		os.Exit(2)
	}
	sound, err := true, error(nil)
	switch os.Args[1] {
	case "judge":
		sound, err = report.Judge(os.Args[2:])
	case "summary":
		err = report.Summary(os.Args[2])
	default:
		err = fmt.Errorf("%s: no such command", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
	if !sound {
		os.Exit(1)
	}
}
