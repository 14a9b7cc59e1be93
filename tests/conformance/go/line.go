package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// request is a line of the protocol: a verb and its fields, decoded.
type request struct {
	verb   string
	fields map[string]string
}

func parse(line string) (request, error) {
	words := strings.Split(line, " ")
	r := request{verb: words[0], fields: map[string]string{}}
	for _, word := range words[1:] {
		name, value, found := strings.Cut(word, "=")
		decoded, err := url.PathUnescape(value)
		if !found || err != nil {
			return r, fmt.Errorf("not a field: %s", word)
		}
		r.fields[name] = decoded
	}
	return r, nil
}

func (r request) number(name string) (int, error) {
	number, err := strconv.Atoi(r.fields[name])
	if err != nil {
		return 0, fmt.Errorf("no %s number", name)
	}
	return number, nil
}

// optional is nil for what isn't given; what is given and empty isn't nil.
func (r request) optional(name string) []byte {
	value, given := r.fields[name]
	if !given {
		return nil
	}
	return append([]byte{}, value...)
}

// encode: every byte outside A-Za-z0-9._~- as %XX.
func encode(value []byte) string {
	var b strings.Builder
	for _, c := range value {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._~-", c) >= 0
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func bit(set bool) int {
	if set {
		return 1
	}
	return 0
}
