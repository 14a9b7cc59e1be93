package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// answer is the rest of a successful reply, beside "ok":true.
type answer map[string]any

type command func(ctx context.Context, c *cluster, fields []byte) (answer, error)

// commands by name: those that act on the process, those that make something in the cluster, and those that
// only look.
var commands = map[string]command{
	"start":   with(startServer),
	"stop":    with(stopServer),
	"kill":    with(killServer),
	"restart": with(restartServer),
	"pause":   with(pauseServer),
	"resume":  with(resumeServer),

	"rotate_ca": with(rotateCA),

	"namespace":           onServer(createNamespace),
	"terminate_namespace": onServer(terminateNamespace),
	"quota":               onServer(setQuota),
	"user":                onServer(createUser),
	"admission_policy":    onServer(createPolicy),
	"compact":             onServer(compact),

	"memory":  with(memory),
	"db_size": with(dbSize),
}

// with decodes a command's own fields. An unknown field is an error: it is a misspelt one.
func with[Request any](do func(context.Context, *cluster, Request) (answer, error)) command {
	return func(ctx context.Context, c *cluster, fields []byte) (answer, error) {
		var request Request
		decoder := json.NewDecoder(bytes.NewReader(fields))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil {
			return nil, err
		}
		return do(ctx, c, request)
	}
}

// onServer is with for commands that send requests.
func onServer[Request any](do func(context.Context, *cluster, Request) (answer, error)) command {
	decoded := with(do)
	return func(ctx context.Context, c *cluster, fields []byte) (answer, error) {
		if err := c.serving(); err != nil {
			return nil, err
		}
		return decoded(ctx, c, fields)
	}
}

// reply carries out one line of stdin.
func reply(ctx context.Context, c *cluster, line []byte) answer {
	got, err := dispatch(ctx, c, line)
	if err != nil {
		return answer{"ok": false, "error": err.Error()}
	}
	full := answer{"ok": true}
	maps.Copy(full, got)
	return full
}

func dispatch(ctx context.Context, c *cluster, line []byte) (answer, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	var name string
	if err := json.Unmarshal(fields["cmd"], &name); err != nil {
		return nil, errors.New("the field \"cmd\" is missing or not a string")
	}
	do, known := commands[name]
	if !known {
		names := slices.Sorted(maps.Keys(commands))
		return nil, fmt.Errorf("unknown command %q: the commands are %s", name, strings.Join(names, ", "))
	}
	delete(fields, "cmd")
	rest, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	got, err := do(ctx, c, rest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return got, nil
}
