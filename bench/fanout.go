//go:build linux

package main

import "time"

// fanout sends lines to all clients, one at a time.
type fanout struct {
	clients int
	size    int           // bytes in a line
	lines   int           // in a step
	every   time.Duration // between lines; 0: the next when all have the last
	nap     time.Duration // see rig
}

func (f fanout) begin(r *rig) (stepper, error) {
	r.nap = f.nap
	run := &fanoutRun{fanout: f, rig: r}
	return run.step, r.load.connect(f.clients, socket{})
}

type fanoutRun struct {
	fanout
	rig  *rig
	sent int // lines
}

// step gives the server's microseconds for each delivery, and the milliseconds
// that one delivery in a hundred takes longer than.
func (f *fanoutRun) step() (sample, error) {
	l := f.rig.load
	block := numbered(f.sent, f.lines, f.size)
	l.want = append(l.want, block...)
	l.watch = newStopwatch(f.sent*f.size, f.size, f.lines, f.clients)
	cost, err := f.rig.cost(func() error { return f.send(block) })
	if err != nil {
		return nil, err
	}
	return sample{micros(cost) / float64(f.lines*f.clients), millis(l.watch.p99())}, nil
}

// send sends the lines of block, and waits until all clients have all of them.
func (f *fanoutRun) send(block []byte) error {
	for due := time.Now(); len(block) > 0; block = block[f.size:] {
		if err := f.rig.rest(due); err != nil {
			return err
		}
		f.rig.load.watch.sent(due)
		if err := f.rig.feed(block[:f.size]); err != nil {
			return err
		}
		f.sent++
		if due = due.Add(f.every); f.every > 0 {
			continue
		}
		if err := f.settle(); err != nil {
			return err
		}
		due = time.Now()
	}
	return f.settle()
}

// settle waits until all clients have all that was sent.
func (f *fanoutRun) settle() error {
	all := int64(f.sent * f.size * f.clients)
	return f.rig.until(func() bool { return f.rig.load.got >= all })
}
