//go:build linux

package main

import "time"

// fanout sends lines to all clients, one at a time.
type fanout struct {
	clients int
	size    int           // bytes in a line
	lines   int           // in a step
	every   time.Duration // between lines; 0: the next when all have the last
	nap     time.Duration // see harness
	speaks  *protocol     // what the clients speak; nil: they are raw
}

func (f fanout) scale(c config) (workload, int) {
	f.clients, f.lines = c.clients(f.clients), c.work(f.lines)
	return f, f.clients
}

func (f fanout) begin(r *harness) (stepper, error) {
	r.nap = f.nap
	run := &fanoutRun{fanout: f, h: r}
	if f.speaks == nil {
		return run.step, r.load.connect(f.clients, socket{})
	}
	r.load.speak(f.speaks)
	return run.step, r.join(f.clients)
}

type fanoutRun struct {
	fanout
	h         *harness
	sent      int                     // lines
	meanwhile func() error            // called all the time; nil: nothing
	say       func(line []byte) error // sends a line; nil: through STDIN
}

// step returns the server's CPU per delivery in µs and the p99 of a delivery in ms.
func (f *fanoutRun) step() (sample, error) {
	cost, err := f.some(f.lines)
	if err != nil {
		return nil, err
	}
	return sample{micros(cost) / float64(f.lines*f.clients), millis(f.h.load.watch.p99())}, nil
}

// some sends n lines and returns their cost.
func (f *fanoutRun) some(n int) (time.Duration, error) {
	l := f.h.load
	block := numbered(f.sent, n, f.size)
	l.want = append(l.want, block...)
	l.watch = newStopwatch(f.sent*f.size, f.size, n, f.clients)
	return f.h.cost(func() error { return f.send(block) })
}

// send sends the lines of block and waits until all clients have all of them.
func (f *fanoutRun) send(block []byte) (err error) {
	defer catch(&err)
	say := f.say
	if say == nil {
		say = f.h.feed
	}
	for due := time.Now(); len(block) > 0; block = block[f.size:] {
		must(f.rest(due))
		f.h.load.watch.sent(due)
		must(say(block[:f.size]))
		f.sent++
		if due = due.Add(f.every); f.every == 0 {
			must(f.settle())
			due = time.Now()
		}
	}
	return f.settle()
}

// rest takes turns until a line is due.
func (f *fanoutRun) rest(due time.Time) (err error) {
	defer catch(&err)
	for f.meanwhile != nil && time.Until(due) > 0 {
		must(f.meanwhile())
		must(f.h.rest(time.Now().Add(min(time.Until(due), time.Millisecond/2))))
	}
	return f.h.rest(due)
}

// settle waits until all clients have all that was sent.
func (f *fanoutRun) settle() error {
	l := f.h.load
	if f.speaks != nil {
		return f.h.until(func() bool { return l.whole >= f.sent*f.clients })
	}
	all := int64(f.sent * f.size * f.clients)
	return f.h.until(func() bool { return l.got >= all })
}
