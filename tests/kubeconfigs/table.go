package main

import (
	"fmt"
	"strings"
)

// input is one block of cases.txt:
//
//	=== id
//	env NAME=value            any number of them; KUBECONFIG is the file config otherwise
//	differs why               kubectl and mapstore are meant to differ
//	--- config                a file, up to the next line that begins with ---, ===
//	…
//
// A file may be prefixed by utf16: or raw: (Go's escapes); both may use the
// variables that world.fill knows.
type input struct {
	id      string
	env     []string
	differs string
	files   []file
}

type file struct{ name, form, text string }

func (c input) hasEnv(name string) bool {
	for _, variable := range c.env {
		if strings.HasPrefix(variable, name+"=") {
			return true
		}
	}
	return false
}

func parse(text string) ([]input, error) {
	var cases []input
	seen := map[string]bool{}
	inFile := false
	for number, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "===":
			if seen[rest] {
				return nil, fmt.Errorf("line %d: %s comes twice", number+1, rest)
			}
			seen[rest] = true
			cases = append(cases, input{id: rest})
			inFile = false
			continue
		case len(cases) == 0:
			continue // the heading
		}
		c := &cases[len(cases)-1]
		switch {
		case word == "---" && rest != "":
			form, name, found := strings.Cut(rest, ":")
			if !found {
				form, name = "", rest
			}
			c.files = append(c.files, file{name: name, form: form})
			inFile = true
		case inFile:
			f := &c.files[len(c.files)-1]
			f.text += line + "\n"
		case word == "env":
			c.env = append(c.env, rest)
		case word == "differs":
			c.differs = rest
		case line != "":
			return nil, fmt.Errorf("line %d: %q is no word of the table", number+1, word)
		}
	}
	return cases, nil
}
