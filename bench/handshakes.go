//go:build linux

package main

import (
	"time"
)

// handshakes connects WebSockets, as many at once as a listener's queue holds.
type handshakes struct {
	clients int
	config  config
}

func (h handshakes) scale(c config) (workload, int) {
	h.clients, h.config = c.clients(h.clients), c
	return h, h.clients
}

// handshakesLeft measures the memory they leave.
type handshakesLeft struct {
	handshakes
	later time.Duration // when it is measured
}

// later is when a server has released what it needed for handshakes.
const later = 30 * time.Second

func (h handshakesLeft) scale(c config) (workload, int) {
	h.clients, h.config, h.later = c.clients(h.clients), c, c.lasts(h.later)
	return h, h.clients
}

// measure returns the time and the server's CPU per handshake in µs, and the peak
// growth in MiB.
func (h handshakes) measure(r *harness) (sample, error) {
	if err := r.settle(h.config.quiet); err != nil {
		return nil, err
	}
	r.load.speak(webSocket)
	var took time.Duration
	var cost time.Duration
	grown, err := peakOf(r.server.pid, func() (err error) {
		since := time.Now()
		cost, err = r.cost(func() error { return r.rush(h.clients) })
		took = time.Since(since)
		return err
	})
	if err != nil {
		return nil, err
	}
	n := float64(h.clients)
	return sample{micros(took) / n, micros(cost) / n, float64(grown) / (1 << 20)}, nil
}

// rush connects n clients, as many of them waiting for their responses as possible.
func (r *harness) rush(n int) error {
	l := r.load
	for len(l.clients) < n {
		if err := l.connect(min(64, n-len(l.clients)), socket{}); err != nil {
			return err
		}
		if err := r.until(func() bool { return len(l.clients)-l.opened < queue }); err != nil {
			return err
		}
		if err := r.turn(0); err != nil {
			return err
		}
	}
	return r.until(func() bool { return l.opened >= n })
}

// measure returns what is resident some time after the handshakes, by the empty
// server with as many raw clients; some time after the clients have left, by the
// empty server; the two differences in MiB; and what is resident after as many more
// have come and gone, by after the first.
func (h handshakesLeft) measure(r *harness) (sample, error) {
	cost, err := h.raw()
	if err != nil {
		return nil, err
	}
	if err := r.settle(h.config.quiet); err != nil {
		return nil, err
	}
	empty, err := residentOf(r.server.pid)
	if err != nil {
		return nil, err
	}
	full, left, err := h.comeAndGo(r)
	if err != nil {
		return nil, err
	}
	_, again, err := h.comeAndGo(r)
	if err != nil {
		return nil, err
	}
	return sample{
		float64(full) / float64(empty+cost),
		float64(left) / float64(empty),
		float64(full-empty-cost) / (1 << 20),
		float64(left-empty) / (1 << 20),
		float64(again) / float64(left),
	}, nil
}

// comeAndGo returns what is resident some time after all have connected, and after
// all have left.
func (h handshakesLeft) comeAndGo(r *harness) (full, left int64, err error) {
	r.load.speak(webSocket)
	if err := r.rush(h.clients); err != nil {
		return 0, 0, err
	}
	if full, err = h.leave(r); err != nil {
		return 0, 0, err
	}
	if err := r.part(); err != nil {
		return 0, 0, err
	}
	r.load.dismiss()
	left, err = h.leave(r)
	return full, left, err
}

// raw is the memory of as many raw clients.
func (h handshakes) raw() (int64, error) {
	c, err := h.config.command("raw", 0)
	if err != nil {
		return 0, err
	}
	r, err := newHarness(c)
	if err != nil {
		return 0, err
	}
	defer r.stop()
	if err := r.settle(h.config.quiet); err != nil {
		return 0, err
	}
	empty, err := residentOf(r.server.pid)
	if err != nil {
		return 0, err
	}
	if err := r.fill(h.clients); err != nil {
		return 0, err
	}
	if err := r.calm(h.config.quiet); err != nil {
		return 0, err
	}
	full, err := residentOf(r.server.pid)
	return full - empty, err
}

// leave leaves the server alone for a while and returns what is resident then.
func (h handshakesLeft) leave(r *harness) (int64, error) {
	defer func(nap time.Duration) { r.nap = nap }(r.nap)
	r.nap = 10 * time.Millisecond
	if err := r.rest(time.Now().Add(h.later)); err != nil {
		return 0, err
	}
	return residentOf(r.server.pid)
}
