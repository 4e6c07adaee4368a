//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// posts lets clients post lines over connections that stay open.
type posts struct {
	clients int
	size    int // bytes in a line
	lines   int // of each client, in a step
}

func (p posts) scale(c config) (workload, int) {
	p.clients, p.lines = c.clients(p.clients), c.work(p.lines)
	return p, p.clients
}

func (p posts) begin(r *harness) (stepper, error) {
	r.load.speak(postRequests)
	ask := strings.Replace(string(r.load.ask), "SIZE", fmt.Sprint(p.size), 1)
	run := &postsRun{posts: p, h: r, ask: []byte(ask)}
	return run.step, r.load.connect(p.clients, socket{})
}

type postsRun struct {
	posts
	h    *harness
	ask  []byte
	done int // posts of each client in the steps before
}

// step returns the server's CPU per post in µs.
func (p *postsRun) step() (sample, error) {
	l := p.h.load
	all := p.h.said + int64(p.clients*p.lines*p.size)
	sent := make([]int, p.clients)
	var failed error
	cost, err := p.h.cost(func() error {
		err := p.h.until(func() bool {
			for i := range l.clients {
				if sent[i] < p.lines && l.clients[i].whole == p.done+sent[i] {
					failed = cmp.Or(failed, p.post(i))
					sent[i]++
				}
			}
			return failed != nil || l.opened >= (p.done+p.lines)*p.clients && p.h.said >= all
		})
		return cmp.Or(failed, err)
	})
	if err != nil {
		return nil, err
	}
	p.done += p.lines
	return sample{micros(cost) / float64(p.clients*p.lines)}, nil
}

// post sends a client's next post: the numbers of both.
func (p *postsRun) post(i int) error {
	c := &p.h.load.clients[i]
	request := fmt.Appendf(slices.Clip(p.ask), "%8d %0*d\n", i, p.size-10, c.whole)
	if n, errno := bareSend(c.fd, request); errno != 0 || n < len(request) {
		return fmt.Errorf("client %d: send: %w", i, errno)
	}
	return nil
}
