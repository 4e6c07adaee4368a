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
func (h handshakes) measure(r *harness) (_ sample, err error) {
	defer catch(&err)
	must(r.settle(h.config.quiet))
	r.load.speak(webSocket)
	var took, cost time.Duration
	grown := need(peakOf(r.server.pid, func() (err error) {
		since := time.Now()
		cost, err = r.cost(func() error { return r.rush(h.clients) })
		took = time.Since(since)
		return err
	}))
	n := float64(h.clients)
	return sample{micros(took) / n, micros(cost) / n, float64(grown) / (1 << 20)}, nil
}

// rush connects n clients, as many of them waiting for their responses as possible.
func (r *harness) rush(n int) (err error) {
	defer catch(&err)
	l := r.load
	for len(l.clients) < n {
		must(l.connect(min(64, n-len(l.clients)), socket{}))
		must(r.until(func() bool { return len(l.clients)-l.opened < queue }))
		must(r.turn(0))
	}
	return r.until(func() bool { return l.opened >= n })
}

// measure returns what is resident some time after the handshakes, by the empty
// server with as many raw clients; some time after the clients have left, by the
// empty server; the two differences in MiB; and what is resident after as many more
// have come and gone, by after the first.
func (h handshakesLeft) measure(r *harness) (_ sample, err error) {
	defer catch(&err)
	cost := need(h.raw())
	must(r.settle(h.config.quiet))
	empty := need(residentOf(r.server.pid))
	full, left := h.comeAndGo(r)
	_, again := h.comeAndGo(r)
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
func (h handshakesLeft) comeAndGo(r *harness) (full, left int64) {
	r.load.speak(webSocket)
	must(r.rush(h.clients))
	full = h.leave(r)
	must(r.part())
	r.load.dismiss()
	return full, h.leave(r)
}

// raw returns the memory of as many raw clients.
func (h handshakes) raw() (_ int64, err error) {
	defer catch(&err)
	r := need(newHarness(need(h.config.command("raw", 0))))
	defer r.stop()
	must(r.settle(h.config.quiet))
	empty := need(residentOf(r.server.pid))
	must(r.fill(h.clients))
	must(r.calm(h.config.quiet))
	return need(residentOf(r.server.pid)) - empty, nil
}

// leave leaves the server alone for a while and returns what is resident then.
func (h handshakesLeft) leave(r *harness) int64 {
	must(r.doze(h.later))
	return need(residentOf(r.server.pid))
}
