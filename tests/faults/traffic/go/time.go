package main

import (
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const tick = 5 * time.Millisecond

// lateness tells how late this process' timers are: what a deadline can't be blamed for.
type lateness struct {
	mu    sync.Mutex
	ticks [][2]int64
}

func watchTime() *lateness {
	l := &lateness{}
	go func() {
		for {
			before := now()
			time.Sleep(tick)
			after := now()
			l.mu.Lock()
			if l.ticks = append(l.ticks, [2]int64{after, max(0, after-before-int64(tick))}); len(l.ticks) > 8000 {
				l.ticks = append([][2]int64(nil), l.ticks[4000:]...)
			}
			l.mu.Unlock()
		}
	}()
	return l
}

// since adds up all of it since a deadline: a machine that is busy makes the work after it late several times.
func (l *lateness) since(deadline int64) int64 {
	asked := now()
	for {
		time.Sleep(tick)
		l.mu.Lock()
		// The tick that is under way may be the late one.
		if len(l.ticks) > 0 && l.ticks[len(l.ticks)-1][0] > asked {
			break
		}
		l.mu.Unlock()
	}
	defer l.mu.Unlock()
	var sum int64
	for _, one := range l.ticks {
		if one[0] >= deadline {
			sum += one[1]
		}
	}
	return sum
}

// now is CLOCK_MONOTONIC in nanoseconds: the same in all processes of the machine.
func now() int64 {
	const monotonic = 1
	var at syscall.Timespec
	if _, _, err := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&at)), 0); err != 0 {
		panic(err)
	}
	return at.Nano()
}
