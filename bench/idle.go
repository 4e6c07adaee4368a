//go:build linux

package main

import "time"

// idle has clients that do nothing.
type idle struct {
	clients int
	watched time.Duration // how long the server's CPU is watched
	quiet   time.Duration // see calm
	line    string        // sent to each client once; "": nothing
	speaks  *protocol     // what the clients speak; nil: they are raw
	later   time.Duration // how long the server is left alone before its memory is measured
	first   int           // clients that connect earlier and are measured separately
}

func (i idle) scale(c config) (workload, int) {
	i.clients, i.first, i.quiet = c.clients(i.clients), c.clients(i.first), c.quiet
	i.watched, i.later = c.lasts(i.watched), c.lasts(i.later)
	return i, i.clients
}

// measure returns the resident bytes per client, before and after each was sent a
// line, and the server's CPU in µs per second. If first clients connect earlier, it
// also returns their memory together, in MiB: it includes what the server needs once
// for clients of this protocol.
func (i idle) measure(r *harness) (_ sample, err error) {
	defer catch(&err)
	must(r.settle(i.quiet))
	empty := need(residentOf(r.server.pid))
	before := empty
	if i.first > 0 {
		must(i.come(r, i.first))
		before = need(residentOf(r.server.pid))
	}
	must(i.come(r, i.clients-i.first))
	full := need(residentOf(r.server.pid))
	r.nap = nap
	cost := need(r.cost(func() error { return r.doze(i.watched) }))
	must(i.speak(r))
	spoken := need(residentOf(r.server.pid))
	each := float64(full-before) / float64(i.clients-i.first)
	s := sample{each, each + float64(spoken-full)/float64(i.clients), micros(cost) / i.watched.Seconds()}
	if i.first > 0 {
		s = append(s, float64(before-empty)/(1<<20))
	}
	return s, nil
}

// come connects clients and lets the server settle.
func (i idle) come(r *harness, clients int) error {
	r.load.speak(i.speaks)
	come := r.fill
	if i.speaks != nil {
		come = r.join
	}
	if err := come(clients); err != nil {
		return err
	}
	if err := r.doze(i.later); err != nil {
		return err
	}
	return r.calm(i.quiet)
}

// speak sends every client the line and waits until the server is done.
func (i idle) speak(r *harness) error {
	if i.line == "" {
		return nil
	}
	r.load.want = append(r.load.want, i.line...)
	if err := r.feed([]byte(i.line)); err != nil {
		return err
	}
	all := func() bool { return r.load.got >= int64(len(i.line)*i.clients) }
	if i.speaks != nil {
		all = func() bool { return r.load.whole >= i.clients }
	}
	if err := r.until(all); err != nil {
		return err
	}
	return r.calm(i.quiet)
}

// settle waits until the server has started, and counts its own descriptors.
func (r *harness) settle(quiet time.Duration) (err error) {
	if err = r.calm(quiet); err == nil {
		r.own, err = descriptorsOf(r.server.pid)
	}
	return err
}

// calm waits until the server has used almost no CPU for a while, or gives up. hubbub
// parks after a second of silence; a shorter wait would measure that too.
func (r *harness) calm(quiet time.Duration) error {
	for range 6 {
		cost, err := r.cost(func() error { return r.doze(quiet) })
		if err != nil || cost < quiet/1000 {
			return err
		}
	}
	return nil
}

// nap is how long the clients sleep while nothing is to come.
const nap = 10 * time.Millisecond

// doze takes turns for a while, in which nothing is to come.
func (r *harness) doze(d time.Duration) error {
	defer func(before time.Duration) { r.nap = before }(r.nap)
	r.nap = nap
	return r.rest(time.Now().Add(d))
}

// fill connects n clients, never more at once than a listener's queue holds.
func (r *harness) fill(n int) (err error) {
	defer catch(&err)
	for ; n > 0; n -= queue {
		must(r.load.connect(min(n, queue), socket{}))
		must(r.accepted())
	}
	return nil
}

// queue is how many clients may wait in a listener's queue. The usual limit is
// 4,096; a client beyond it tries again after a second.
const queue = 3000

// accepted waits until the server has a descriptor for each client.
func (r *harness) accepted() (err error) {
	defer catch(&err)
	return r.until(func() bool {
		return need(descriptorsOf(r.server.pid)) >= r.own+len(r.load.clients)
	})
}

// accept connects clients while the server is stopped, so that they wait in the
// listener's queue.
type accept struct {
	clients int
	quiet   time.Duration // see calm
}

func (a accept) scale(c config) (workload, int) {
	a.clients, a.quiet = c.clients(a.clients), c.quiet
	return a, a.clients
}

// measure returns the time and the server's CPU per accepted client, in µs.
func (a accept) measure(r *harness) (_ sample, err error) {
	defer catch(&err)
	must(r.settle(a.quiet))
	var waited time.Duration
	cost := need(r.cost(func() error {
		for left := a.clients; left > 0; left -= queue {
			must(r.server.pause(func() error { return r.load.connect(min(left, queue), socket{}) }))
			since := time.Now()
			must(r.accepted())
			waited += time.Since(since)
		}
		return nil
	}))
	n := float64(a.clients)
	return sample{micros(waited) / n, micros(cost) / n}, nil
}
