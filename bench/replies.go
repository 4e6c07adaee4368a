//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// replies lets clients ask for answers of their own, some at a time.
type replies struct {
	clients int
	size    int       // bytes in a line, and in its answer
	at      int       // how many ask at a time
	rounds  int       // how often each asks in a step
	speaks  *protocol // webSocket, or nil: raw
}

func (a replies) scale(c config) (workload, int) {
	a.clients, a.at, a.rounds = c.clients(a.clients), c.clients(a.at), c.work(a.rounds)
	return a, a.clients
}

func (a replies) begin(r *harness) (stepper, error) {
	if a.speaks != nil {
		return a.beginTogether(r)
	}
	return a.of(r).step, r.fill(a.clients)
}

// beginTogether is for a server of several processes, maybe one per client. The
// next clients connect when the last have an answer: programs that all start at once
// take long to be ready.
func (a replies) beginTogether(r *harness) (_ stepper, err error) {
	defer catch(&err)
	run := a.of(r)
	r.load.speak(a.speaks)
	r.load.want = run.text
	for first := 0; first < a.clients; first += a.at {
		end := min(first+a.at, a.clients)
		must(r.join(end - first))
		must(run.ask(first, end))
	}
	run.all = need(familyOf(r.server.pid))
	return run.stepTogether, nil
}

func (a replies) of(r *harness) *repliesRun {
	run := &repliesRun{replies: a, h: r, asked: make([]time.Time, a.clients)}
	text := numbered(0, 1, a.size)
	run.line, run.answer = text, a.size
	if a.speaks != nil {
		run.text = text
		run.line, run.answer = masked(text[:a.size-1]), a.size+1
	}
	return run
}

type repliesRun struct {
	replies
	h      *harness
	line   []byte      // what a client sends
	answer int         // bytes of the answer
	text   []byte      // the answer itself, if not raw
	asked  []time.Time // when, by client; zero: it has its answer
	late   []int64     // in nanoseconds
	all    []int       // processes of the server
}

// step returns the server's CPU per answer in µs and the p99 of an answer in ms.
func (a *repliesRun) step() (sample, error) {
	cost, err := a.h.cost(a.everybody)
	if err != nil {
		return nil, err
	}
	return sample{a.each(cost), a.p99()}, nil
}

// stepTogether returns the p99 of an answer in ms, the CPU per answer of all
// processes and of the server alone in µs, and the memory of all in MiB.
func (a *repliesRun) stepTogether() (_ sample, err error) {
	defer catch(&err)
	before := need(cpuOfAll(a.all))
	own := need(a.h.cost(a.everybody))
	all := need(cpuOfAll(a.all)) - before
	memory := need(memoryOfAll(a.all))
	return sample{a.p99(), a.each(all), a.each(own), float64(memory) / (1 << 20)}, nil
}

// each returns a cost per answer of a step, in µs.
func (a *repliesRun) each(cost time.Duration) float64 {
	return micros(cost) / float64(a.rounds*a.clients)
}

func (a *repliesRun) p99() float64 {
	slices.Sort(a.late)
	return millis(time.Duration(quantile(a.late, 0.99)))
}

// everybody asks, as often as a step says.
func (a *repliesRun) everybody() error {
	a.late = a.late[:0]
	for range a.rounds {
		a.h.load.want = append(a.h.load.want, a.text...)
		for first := 0; first < a.clients; first += a.at {
			if err := a.ask(first, min(first+a.at, a.clients)); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask lets these clients ask and waits for their answers.
func (a *repliesRun) ask(first, end int) error {
	l := a.h.load
	before := make([]int64, end-first)
	for i := first; i < end; i++ {
		before[i-first] = l.clients[i].got
		a.asked[i] = time.Now()
		if n, errno := bareSend(l.clients[i].fd, a.line); errno != 0 || n < len(a.line) {
			return fmt.Errorf("client %d: send: %w", i, errno)
		}
	}
	left := end - first
	return a.h.until(func() bool {
		now := time.Now()
		for i := first; i < end; i++ {
			if !a.asked[i].IsZero() && l.clients[i].got >= before[i-first]+int64(a.answer) {
				a.late = append(a.late, int64(now.Sub(a.asked[i])))
				a.asked[i] = time.Time{}
				left--
			}
		}
		return left == 0
	})
}
