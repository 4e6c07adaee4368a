//go:build linux

package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// replies has clients ask, each for an answer of its own, some of them at a time.
type replies struct {
	clients int
	size    int // bytes in a line, and in its answer
	at      int // how many ask at a time
	rounds  int // how often each asks in a step
}

//go:embed testdata
var programs embed.FS

// program puts one of testdata where it can be run.
func (h house) program(name string) (string, error) {
	text, err := programs.ReadFile("testdata/" + name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(h.dir, name)
	return path, os.WriteFile(path, text, 0o600)
}

func (a replies) begin(r *rig) (stepper, error) {
	run := &repliesRun{replies: a, rig: r, line: numbered(0, 1, a.size), asked: make([]time.Time, a.clients)}
	return run.step, r.fill(a.clients)
}

type repliesRun struct {
	replies
	rig   *rig
	line  []byte
	asked []time.Time // by client, of those who wait
	late  []int64     // nanoseconds
}

// step gives the server's microseconds for each answer, and the milliseconds that
// one in a hundred takes longer than.
func (a *repliesRun) step() (sample, error) {
	a.late = a.late[:0]
	cost, err := a.rig.cost(func() error {
		for range a.rounds {
			for first := 0; first < a.clients; first += a.at {
				if err := a.ask(first, min(first+a.at, a.clients)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(a.late)
	return sample{
		micros(cost) / float64(a.rounds*a.clients),
		millis(time.Duration(quantile(a.late, 0.99))),
	}, nil
}

// ask has these clients ask, and waits until all have their answers.
func (a *repliesRun) ask(first, end int) error {
	l := a.rig.load
	before := make([]int64, end-first)
	for i := first; i < end; i++ {
		before[i-first] = l.clients[i].got
		a.asked[i] = time.Now()
		if n, errno := bareSend(l.clients[i].fd, a.line); errno != 0 || n < len(a.line) {
			return fmt.Errorf("client %d: send: %w", i, errno)
		}
	}
	left := end - first
	return a.rig.until(func() bool {
		now := time.Now()
		for i := first; i < end; i++ {
			if !a.asked[i].IsZero() && l.clients[i].got >= before[i-first]+int64(a.size) {
				a.late = append(a.late, int64(now.Sub(a.asked[i])))
				a.asked[i] = time.Time{}
				left--
			}
		}
		return left == 0
	})
}
