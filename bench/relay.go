//go:build linux

package main

import "fmt"

// relay sends lines to clients that listen and to others that read nothing; the
// lines come from those, or from STDIN.
type relay struct {
	fanout
	talkers int
	talk    bool // talkers send the lines, not STDIN
}

func (t relay) scale(c config) (workload, int) {
	t.clients, t.lines, t.talkers = c.clients(t.clients), c.work(t.lines), c.clients(t.talkers)
	return t, t.clients + t.talkers
}

func (t relay) begin(r *harness) (_ stepper, err error) {
	defer catch(&err)
	must(r.load.connect(t.clients, socket{}))
	must(r.load.connect(t.talkers, socket{deaf: true}))
	run := &fanoutRun{fanout: t.fanout, h: r}
	if t.talk {
		run.say = func(line []byte) error { return t.say(r, run.sent, line) }
	}
	return func() (sample, error) { return t.step(run) }, nil
}

// step returns the server's CPU per delivery in µs, including those to talkers, and
// the p99 of a delivery in ms.
func (t relay) step(run *fanoutRun) (sample, error) {
	cost, err := run.some(t.lines)
	if err != nil {
		return nil, err
	}
	all := t.clients + t.talkers
	if t.talk {
		all-- // the sender
	}
	return sample{micros(cost) / float64(t.lines*all), millis(run.h.load.watch.p99())}, nil
}

// say sends a line from the next talker.
func (t relay) say(r *harness, n int, line []byte) error {
	talker := r.load.clients[t.clients+n%t.talkers]
	if sent, errno := bareSend(talker.fd, line); errno != 0 || sent < len(line) {
		return fmt.Errorf("talker %d: send: %w", n%t.talkers, errno)
	}
	return nil
}
