package console

import (
	"context"
	"sync"
)

// This file is the way of what is typed. It may have to wait, since a source
// is paced to the clients, and meanwhile the console goes on: one goroutine
// sends, in the order in which things were typed, and what waits for it is
// bounded. Another does the commands that need not wait for lines: errands.

// unsent is how many bytes may wait. A paste that would not fit is refused
// whole, and said.
const unsent = 4 << 20

// job is a line to send, or a command that keeps its place among the lines.
type job struct {
	size int // of what it holds
	do   func(ctx context.Context)
}

// queue holds what waits. It may be used from any goroutine.
type queue struct {
	mu    sync.Mutex
	jobs  []job
	bytes int
	busy  bool // with a job that is not among jobs any more
	more  chan struct{}
}

func newQueue() *queue { return &queue{more: make(chan struct{}, 1)} }

// push queues all jobs, or none.
func (q *queue) push(jobs ...job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for _, j := range jobs {
		size += j.size
	}
	if q.bytes+size > unsent {
		return false
	}
	q.jobs, q.bytes = append(q.jobs, jobs...), q.bytes+size
	select {
	case q.more <- struct{}{}:
	default:
	}
	return true
}

// run does jobs until ctx ends, or drained says that no more will come and
// none is left.
func (q *queue) run(ctx context.Context, last <-chan struct{}) {
	for {
		for j, ok := q.next(); ok && ctx.Err() == nil; j, ok = q.next() {
			j.do(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-q.more:
		case <-last:
			if q.waiting() == 0 {
				return
			}
		}
	}
}

// next takes the next job, and says so by being busy until it is called again.
func (q *queue) next() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = len(q.jobs) > 0
	if !q.busy {
		q.jobs = nil // let go of what a large paste took
		return job{}, false
	}
	j := q.jobs[0]
	q.jobs, q.bytes = q.jobs[1:], q.bytes-j.size
	return j, true
}

// waiting is how many are not done yet.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.jobs)
	if q.busy {
		n++
	}
	return n
}
