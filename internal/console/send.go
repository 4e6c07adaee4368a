package console

import (
	"context"
	"sync"
)

// This file queues what is typed. Sending may block, because a source is paced to
// the clients, and the console must not: one goroutine sends lines in the order
// in which they were typed, from a bounded queue. Another runs the commands that
// need not wait for lines: errands.

// unsent is how many bytes may wait. A paste that does not fit is refused as a
// whole, with an error.
const unsent = 4 << 20

// job is a line to send, or a command.
type job struct {
	size int // in bytes
	do   func(ctx context.Context)
}

// queue is jobs that wait. It may be used from any goroutine.
type queue struct {
	mu    sync.Mutex
	jobs  []job
	bytes int
	busy  bool // a job is running
	more  chan struct{}
}

func newQueue() *queue { return &queue{more: make(chan struct{}, 1)} }

// push queues all jobs or none.
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

// run runs jobs until ctx ends, or last is closed and no job is left.
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

// next takes the next job; the queue is busy with it until the next call.
func (q *queue) next() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = len(q.jobs) > 0
	if !q.busy {
		q.jobs = nil // free the memory of a large paste
		return job{}, false
	}
	j := q.jobs[0]
	q.jobs, q.bytes = q.jobs[1:], q.bytes-j.size
	return j, true
}

// waiting returns how many jobs are not done.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.jobs)
	if q.busy {
		n++
	}
	return n
}
