// Package measure is what the Go workers have in common: see bench/README.md.
package measure

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// Run takes GOROUTINES SECONDS ID. Every goroutine sets its own key once, waits for a line on stdin, and then sets it
// for that long.
func Run(set func(key string, value []byte) error, args []string) error {
	goroutines, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return err
	}
	lasts := time.Duration(seconds * float64(time.Second))
	took, failures := make([][]time.Duration, goroutines), make([]error, goroutines)
	var first, all sync.WaitGroup
	gate := make(chan struct{})
	for number := range goroutines {
		first.Add(1)
		all.Go(func() {
			key := fmt.Sprintf("w%s-%d", args[2], number)
			failures[number] = set(key, []byte("0000000000000000"))
			first.Done()
			<-gate
			for started := time.Now(); failures[number] == nil && time.Since(started) < lasts; {
				before := time.Now()
				failures[number] = set(key, fmt.Appendf(nil, "%016d", len(took[number])+1))
				took[number] = append(took[number], time.Since(before))
			}
		})
	}
	first.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	started := time.Now()
	close(gate)
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, time.Since(started).Microseconds())
	for _, mine := range took {
		for _, each := range mine {
			fmt.Fprintln(out, each.Microseconds())
		}
	}
	return out.Flush()
}
