//go:build linux

package main

import (
	"bytes"
	"time"
)

// slowloris sends lines to raw clients while others send an HTTP request, a byte at
// a time. The server closes those after a while; then they connect again.
type slowloris struct {
	fanout
	slow  int
	often time.Duration // between two bytes of a client
	quiet time.Duration // how long they send before the measurement
}

func (s slowloris) scale(c config) (workload, int) {
	s.clients, s.lines, s.slow, s.quiet = c.clients(s.clients), c.work(s.lines), c.clients(s.slow), c.quiet
	return s, s.clients
}

// measure returns the p99 of a delivery in ms, the server's CPU per delivery in µs,
// how often a slow client was closed and connected again, and how many slow clients
// were taken for raw clients and got the lines.
func (s slowloris) measure(r *harness) (_ sample, err error) {
	defer catch(&err)
	run := &slowlorisRun{slowloris: s, lines: fanoutRun{fanout: s.fanout, h: r}}
	run.lines.meanwhile = run.sendHeads
	must(r.load.connect(s.clients, socket{}))
	// The first line makes raw clients of them, also at an address for all protocols.
	need(run.lines.some(2))
	must(r.load.connect(s.slow, socket{deaf: true}))
	run.ask = serverSent.requestTo(r.load.port)
	run.at = make([]int, s.slow)
	run.began = time.Now()
	must(run.lines.rest(time.Now().Add(s.quiet)))
	cost := need(run.lines.some(s.lines))
	each := micros(cost) / float64(s.lines*s.clients)
	return sample{millis(r.load.watch.p99()), each, float64(run.again), float64(run.mistaken())}, nil
}

type slowlorisRun struct {
	slowloris
	lines fanoutRun
	ask   []byte
	began time.Time
	said  int   // bytes, by all slow clients
	at    []int // bytes of each since it connected
	again int   // reconnects
}

// sendHeads sends the bytes that are due, spread evenly over the time.
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
		// The server may have closed it meanwhile; the next round notices.
		n, _ := bareSend(l.clients[h.clients+i].fd, h.ask[h.at[i]:h.at[i]+1])
		h.at[i] = (h.at[i] + max(n, 0)) % (len(h.ask) - 1)
	}
	return nil
}

// mistaken returns how many slow clients received something other than a response.
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
