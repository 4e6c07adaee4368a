//go:build linux

package main

import (
	"errors"
	"time"
)

// stalled sends a stream to many clients that read at once, and to some that read
// little or nothing.
type stalled struct {
	clients int // that read at once
	size    int // bytes in a line
	lines   int
	every   time.Duration // between lines

	away   int           // stalled clients
	rcvbuf int           // their SO_RCVBUF
	bite   int           // bytes they read at a time; 0: they never read
	often  time.Duration // between bites
}

func (l stalled) scale(c config) (workload, int) {
	l.clients, l.lines, l.away = c.clients(l.clients), c.work(l.lines), c.clients(l.away)
	return l, l.clients + l.away
}

// measure returns the p99 of a delivery in ms, the server's peak growth in MiB, the
// kernel's socket memory per stalled client in KiB, and how many of them were cut.
func (l stalled) measure(r *harness) (_ sample, err error) {
	defer catch(&err)
	run := &stalledRun{stalled: l, h: r}
	run.begin()
	run.send(l.lines)
	if run.weighed == 0 {
		return nil, errors.New("the machine is too busy: no line was delivered before the next was due, so the memory of stalled clients was never measured")
	}
	return sample{
		millis(r.load.watch.p99()),
		float64(run.grown) / (1 << 20),
		float64(run.held) / (1 << 10) / float64(max(l.away, 1)),
		// A stalled client does not notice that it is cut: the end of the
		// connection waits after the data that it does not read.
		float64(r.server.says.cut()),
	}, nil
}

type stalledRun struct {
	stalled
	h    *harness
	sent int       // lines
	next time.Time // when stalled clients read next

	resident int64 // memory at the beginning
	grown    int64 // peak growth since
	held     int64 // peak of socket memory
	weighed  int   // how often both were measured
}

// begin connects all clients and warms up.
func (l *stalledRun) begin() {
	// Small sockets: loopback's segments of 64 KiB and the system's large buffers
	// would take megabytes before the server notices a stalled client.
	small := socket{mss: 1448, rcvbuf: l.rcvbuf, deaf: true}
	must(l.h.load.connect(l.away, small))
	must(l.h.load.connect(l.clients, socket{}))
	l.send(2)
	l.resident = need(residentOf(l.h.server.pid))
}

// send sends n lines, each when it is due, whether or not the last has been
// delivered, and waits until the readers have all.
func (l *stalledRun) send(n int) {
	load := l.h.load
	block := numbered(l.sent, n, l.size)
	load.want = append(load.want, block...)
	load.watch = newStopwatch(l.sent*l.size, l.size, n, l.clients)
	for due := time.Now(); len(block) > 0; due = due.Add(l.every) {
		l.wait(due)
		load.watch.sent(due)
		must(l.h.feed(block[:l.size]))
		l.sent++
		block = block[l.size:]
	}
	must(l.h.until(l.served))
}

// served reports whether the readers have all that was sent.
func (l *stalledRun) served() bool {
	return l.h.load.got >= int64(l.sent*l.size*l.clients)
}

// wait waits until the next line is due. Every tenth line, if the readers have all,
// it measures: what is held then is held for stalled clients.
func (l *stalledRun) wait(due time.Time) {
	l.bites()
	must(l.h.rest(due))
	if l.sent%10 == 0 && l.served() {
		l.grown = max(l.grown, need(residentOf(l.h.server.pid))-l.resident)
		l.held = max(l.held, need(socketMemory(l.h.server.port)))
		l.weighed++
	}
}

// bites lets stalled clients read, when it is time.
func (l *stalledRun) bites() {
	if l.bite == 0 || time.Now().Before(l.next) {
		return
	}
	if l.next.IsZero() {
		l.next = time.Now()
	}
	l.next = l.next.Add(l.often)
	for i := range l.away {
		need(l.h.load.take(&l.h.load.clients[i], l.bite))
	}
}
