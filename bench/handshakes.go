//go:build linux

package main

import (
	"time"
)

// handshakes has clients ask for a WebSocket, as many at once as a listener's
// queue holds.
type handshakes struct {
	clients int
	quiet   time.Duration // see calm
	later   time.Duration // when it is looked at what is left of it
}

// rush gives, for each handshake, the microseconds by the clock and in the
// server's CPU time; and by how many MiB the server grew at most.
func (h handshakes) rush(r *rig) (sample, error) {
	if err := r.settle(h.quiet); err != nil {
		return nil, err
	}
	r.load.speak(asFrames)
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

// rush connects n clients, and has as many as possible of them wait for their
// answers.
func (r *rig) rush(n int) error {
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

// after gives what is resident some time after the handshakes, as a multiple of
// what was before and raw clients cost; what is some time after the last of those
// clients has gone, as a multiple of what was before; both again in MiB beyond
// that; and what is when as many have come and gone once more, as a multiple of
// what was after the first.
func (h handshakes) after(raw command) func(*rig) (sample, error) {
	return func(r *rig) (sample, error) {
		cost, err := h.raw(raw)
		if err != nil {
			return nil, err
		}
		if err := r.settle(h.quiet); err != nil {
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
}

// comeAndGo gives what is resident some time after all have come, and after all
// have gone.
func (h handshakes) comeAndGo(r *rig) (full, left int64, err error) {
	r.load.speak(asFrames)
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

// raw is what as many raw clients cost.
func (h handshakes) raw(c command) (int64, error) {
	r, err := newRig(c)
	if err != nil {
		return 0, err
	}
	defer r.stop()
	if err := r.settle(h.quiet); err != nil {
		return 0, err
	}
	empty, err := residentOf(r.server.pid)
	if err != nil {
		return 0, err
	}
	if err := r.fill(h.clients); err != nil {
		return 0, err
	}
	if err := r.calm(h.quiet); err != nil {
		return 0, err
	}
	full, err := residentOf(r.server.pid)
	return full - empty, err
}

// leave leaves the server alone, and gives what is resident then.
func (h handshakes) leave(r *rig) (int64, error) {
	defer func(nap time.Duration) { r.nap = nap }(r.nap)
	r.nap = 10 * time.Millisecond
	if err := r.rest(time.Now().Add(h.later)); err != nil {
		return 0, err
	}
	return residentOf(r.server.pid)
}
