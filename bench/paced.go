//go:build linux

package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// paced sends as much as the server takes to clients, one of which reads slower than
// the others, but steadily. The server must pace the source to it and not cut it.
type paced struct {
	clients int
	size    int           // bytes in a line
	rate    int           // bytes a second that the slow one reads
	lasts   time.Duration // twice: until the backlog is full, and then
}

func (p paced) scale(c config) (workload, int) {
	p.clients, p.lasts = c.clients(p.clients), c.lasts(p.lasts)
	return p, p.clients
}

// measure returns how many clients were cut, and the KB/s of the others in the
// second half, when the backlog is full.
func (p paced) measure(r *harness) (_ sample, err error) {
	defer catch(&err)
	must(r.load.connect(1, socket{mss: 1448, rcvbuf: 32 << 10, deaf: true}))
	must(r.load.connect(p.clients-1, socket{}))
	r.nap = time.Millisecond
	must(p.pour(r))
	before := r.load.got
	must(p.pour(r))
	each := float64(r.load.got-before) / float64(p.clients-1)
	return sample{float64(r.server.says.cut()), each / 1e3 / p.lasts.Seconds()}, nil
}

// pour fills STDIN whenever it has room and lets the slow client read at its rate.
func (p paced) pour(r *harness) error {
	block := numbered(0, (1<<20)/p.size, p.size)
	slow := &r.load.clients[0]
	began, from := time.Now(), slow.got
	for at := 0; time.Since(began) < p.lasts && !slow.gone; {
		n, errno := bareWrite(r.server.in, block[at:])
		if errno == 0 {
			at = (at + n) % len(block)
		} else if errno != unix.EAGAIN && errno != unix.EINTR {
			return fmt.Errorf("STDIN: %w", errno)
		}
		due := int64(time.Since(began).Seconds()*float64(p.rate)) - (slow.got - from)
		if due > 0 {
			if _, err := r.load.take(slow, int(min(due, 64<<10))); err != nil {
				return err
			}
		}
		if err := r.turn(r.nap); err != nil {
			return err
		}
	}
	return nil
}
