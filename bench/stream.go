//go:build linux

package main

import "time"

// stream sends all clients as much as they take.
type stream struct {
	clients int
	size    int           // bytes in a line
	lines   int           // in a step, or in the file
	per     float64       // the cost is per so many bytes
	in      time.Duration // the unit of the cost
	check   bool          // clients compare what they receive, at some cost
}

const megabyte = 1e6

func (s stream) scale(c config) (workload, int) {
	s.clients, s.lines, s.check = c.clients(s.clients), c.work(s.lines), c.check
	return s, s.clients
}

// begin is for a server whose STDIN is a pipe: it gets the same lines each step.
func (s stream) begin(r *harness) (stepper, error) {
	block := numbered(0, s.lines, s.size)
	step := func() (sample, error) {
		if s.check {
			r.load.want = append(r.load.want, block...)
		}
		return s.cost(r, func() error { return r.feed(block) })
	}
	return step, r.load.connect(s.clients, socket{})
}

// fileStream is a stream from a file, which a server reads when the last client
// has connected.
type fileStream struct{ stream }

func (s fileStream) scale(c config) (workload, int) {
	scaled, n := s.stream.scale(c)
	return fileStream{scaled.(stream)}, n
}

func (s fileStream) measure(r *harness) (sample, error) {
	if s.check {
		r.load.want = numbered(0, s.lines, s.size)
	}
	if err := r.load.connect(s.clients-1, socket{}); err != nil {
		return nil, err
	}
	return s.cost(r, func() error { return r.load.connect(1, socket{}) })
}

// cost returns the server's CPU from send until all clients have the lines of a step.
func (s stream) cost(r *harness, send func() error) (sample, error) {
	bytes := s.clients * s.lines * s.size
	all := r.load.got + int64(bytes)
	cost, err := r.cost(func() error {
		must(send())
		return r.until(func() bool { return r.load.got >= all })
	})
	if err != nil {
		return nil, err
	}
	return sample{float64(cost) / float64(s.in) / (float64(bytes) / s.per)}, nil
}
