//go:build linux

package main

import (
	"cmp"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// fanin has all clients send lines as fast as they can.
type fanin struct {
	clients int
	size    int  // bytes in a line
	lines   int  // of each client, in a step
	burst   int  // lines a client sends at once
	queued  bool // the server is stopped until each has sent a burst
}

func (f fanin) scale(c config) (workload, int) {
	f.clients, f.lines = c.clients(f.clients), c.work(f.lines)
	return f, f.clients
}

func (f fanin) begin(r *harness) (stepper, error) {
	run := &faninRun{fanin: f, h: r, sent: make([]int, f.clients)}
	for i := range f.clients {
		run.texts = append(run.texts, f.text(i))
	}
	return run.step, r.load.connect(f.clients, socket{})
}

// text returns what a client sends in a step: numbered lines with the client.
func (f fanin) text(i int) []byte {
	var text []byte
	for line := range f.lines {
		text = fmt.Appendf(text, "%8d %0*d\n", i, f.size-10, line)
	}
	return text
}

type faninRun struct {
	fanin
	h     *harness
	texts [][]byte // by client
	sent  []int    // bytes sent in this step, by client
	left  int      // clients that have not sent all
}

// step returns the server's CPU per line in µs.
func (f *faninRun) step() (sample, error) {
	all := f.h.said + int64(f.clients*f.lines*f.size)
	cost, err := f.h.cost(func() error {
		must(f.send())
		return f.h.until(func() bool { return f.h.said >= all })
	})
	if err != nil {
		return nil, err
	}
	return sample{micros(cost) / float64(f.clients*f.lines)}, nil
}

// send lets each client send a burst, in turn, until all have sent all.
func (f *faninRun) send() error {
	clear(f.sent)
	f.left = f.clients
	round := f.round
	if f.queued {
		round = f.queue
	}
	var failed error
	err := f.h.until(func() bool {
		failed = round()
		return failed != nil || f.left == 0
	})
	return cmp.Or(failed, err)
}

// queue returns a round while the server is stopped. A running server may wait for each
// line or be hundreds behind; the first costs several times as much, and which it
// is would be luck.
func (f *faninRun) queue() error {
	all := f.h.said + int64(f.clients*f.burst*f.size)
	if err := f.h.server.pause(f.round); err != nil {
		return err
	}
	return f.h.until(func() bool { return f.h.said >= all })
}

func (f *faninRun) round() (err error) {
	defer catch(&err)
	for i, text := range f.texts {
		if f.sent[i] == len(text) {
			continue
		}
		if err := f.say(i, text); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		if i%16 == 0 {
			must(f.h.hear()) // STDOUT must not fill up
		}
	}
	return nil
}

// say sends the rest of a client's burst, as far as there is room.
func (f *faninRun) say(i int, text []byte) error {
	burst := f.burst * f.size
	from := f.sent[i]
	to := min(from-from%burst+burst, len(text))
	n, errno := bareSend(f.h.load.clients[i].fd, text[from:to])
	if errno == unix.EAGAIN {
		return nil
	}
	if errno != 0 {
		return os.NewSyscallError("send", errno)
	}
	if f.sent[i] += n; f.sent[i] == len(text) {
		f.left--
	}
	return nil
}
