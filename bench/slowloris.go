//go:build linux

package main

import (
	"bytes"
	"time"
)

// slowloris sends lines to raw clients while others ask for something over HTTP, a
// byte at a time. The server ends those after a while; then they come again.
type slowloris struct {
	fanout
	slow  int
	often time.Duration // between one's bytes
	quiet time.Duration // so long they ask before it begins
}

func (s slowloris) scale(c config) (workload, int) {
	s.clients, s.lines, s.slow, s.quiet = c.clients(s.clients), c.work(s.lines), c.clients(s.slow), c.quiet
	return s, s.clients
}

// measure gives the milliseconds that one delivery in a hundred takes longer
// than; the server's microseconds for each; how often one that was ended came again; and how many of those who are
// there were sent the lines, as if they were raw clients.
func (h slowloris) measure(r *harness) (sample, error) {
	run := &slowlorisRun{slowloris: h, lines: fanoutRun{fanout: h.fanout, h: r}}
	run.lines.meanwhile = run.sendHeads
	if err := r.load.connect(h.clients, socket{}); err != nil {
		return nil, err
	}
	// The first line makes clients of them, whatever their address.
	if _, err := run.lines.some(2); err != nil {
		return nil, err
	}
	if err := r.load.connect(h.slow, socket{deaf: true}); err != nil {
		return nil, err
	}
	run.ask = serverSent.requestTo(r.load.port)
	run.at = make([]int, h.slow)
	run.began = time.Now()
	if err := run.lines.rest(time.Now().Add(h.quiet)); err != nil {
		return nil, err
	}
	cost, err := run.lines.some(h.lines)
	if err != nil {
		return nil, err
	}
	each := micros(cost) / float64(h.lines*h.clients)
	return sample{millis(r.load.watch.p99()), each, float64(run.again), float64(run.mistaken())}, nil
}

type slowlorisRun struct {
	slowloris
	lines fanoutRun
	ask   []byte
	began time.Time
	said  int   // bytes, by all who are slow
	at    []int // the same by each, since it came
	again int   // how often one has come again
}

// sendHeads has those who are slow say what is due: evenly over the time.
func (h *slowlorisRun) sendHeads() error {
	l := h.lines.h.load
	for due := int(time.Since(h.began) * time.Duration(h.slow) / h.often); h.said < due; h.said++ {
		i := h.said % h.slow
		if l.clients[h.clients+i].gone {
			if err := l.renew(h.clients+i, socket{deaf: true}); err != nil {
				return err
			}
			h.at[i] = 0
			h.again++
		}
		// It may be ended meanwhile, which the next round sees.
		n, _ := bareSend(l.clients[h.clients+i].fd, h.ask[h.at[i]:h.at[i]+1])
		h.at[i] = (h.at[i] + max(n, 0)) % (len(h.ask) - 1)
	}
	return nil
}

// mistaken is how many of those who are slow were sent something that is no
// answer.
func (h *slowlorisRun) mistaken() int {
	l, n := h.lines.h.load, 0
	for i := range h.slow {
		c := &l.clients[h.clients+i]
		if c.gone {
			continue
		}
		got, _ := bareRecv(c.fd, l.buf)
		if got > 0 && !bytes.HasPrefix(l.buf[:got], []byte("HTTP/")) {
			n++
		}
	}
	return n
}
