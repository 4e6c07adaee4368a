//go:build unix

package engine

// This file accepts connections. The first shard owns the listeners and gives
// each connection to a shard, to which it belongs from then on:
//
//	accept  accepts waiting connections, a slice per turn
//	admit   gives one to the shard with the fewest, or refuses it
//	rest    pauses accepting: no descriptors, or an inbox full of joins

import (
	"fmt"
	"time"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
)

const acceptPause = time.Second

// failures are the throttled warnings of accept.
type failures struct{ noDescriptors, accept logger.Throttle }

// listening has the listeners. Only the first shard has any.
type listening struct {
	owner
	acceptor accept.Acceptor
	failures failures

	nextAccept *loop.Timer
}

// addListeners starts to accept.
func (ln *listening) addListeners(ls []*sock.Listener) error {
	if ln.shard.draining || ln.shard.quitting {
		accept.CloseAll(ls)
		return backlog.ErrClosed
	}
	return ln.acceptor.Add(ls)
}

// watch starts or stops watching the listeners.
func (ln *listening) watch(on bool) {
	if err := ln.acceptor.Watch(on); err != nil {
		ln.engine.log.Warnf("%v", err)
	}
}

// accept accepts from the ready listeners, unless the inbox is full.
func (ln *listening) accept() {
	if !ln.acceptor.HasReady() {
		return
	}
	inbox := ln.engine.inbox
	if inbox.Deferred() {
		ln.watch(false)
		return
	}
	failed := ln.acceptor.Accept(func(k accept.Conn) (more bool) {
		ln.admit(k)
		return !inbox.Deferred()
	})
	for _, f := range failed {
		ln.acceptFailed(f)
	}
}

// acceptFailed logs why a listener gives no connection, and rests.
func (ln *listening) acceptFailed(f accept.Failure) {
	if !f.OutOfDescriptors() {
		if once := &ln.failures.accept; once.Allow(ln.shard.Now()) {
			ln.engine.log.Warnf("%s: %v", f.Listener, f.Err)
		}
		ln.rest()
		return
	}
	if once := &ln.failures.noDescriptors; once.Allow(ln.shard.Now()) {
		ln.engine.log.Warnf("%s: accept: out of descriptors with %s: others are refused; raise the limit (ulimit -n) to serve more%s", f.Listener, quantity.Count(ln.engine.gate.Clients(), "client"), once.Suppressed())
	}
	if k, ok := ln.acceptor.AcceptWithReserve(f.Listener); ok {
		k.Slot, _ = ln.engine.gate.Admit(0)
		ln.shard.refuse(k, "hubbub: refused: the server is out of descriptors\n")
	}
	ln.rest()
}

// rest pauses accepting until a descriptor is free, or for a second.
func (ln *listening) rest() {
	ln.watch(false)
	ln.engine.resting.Store(true)
	ln.nextAccept.In(acceptPause)
}

// resumeAccept resumes accepting.
func (ln *listening) resumeAccept() {
	h := ln.engine
	if ln.shard != h.loops[0] || ln.acceptor.Watching() || h.inbox.Deferred() || h.resting.Load() {
		return
	}
	if !ln.acceptor.Renew() && h.gate.Lingering() > 0 {
		return // a refused connection uses the reserve
	}
	ln.watch(true)
}

// admit gives a new connection to the loop with the fewest.
func (ln *listening) admit(k accept.Conn) {
	h := ln.engine
	var ok bool
	// Its stream begins here: whoever waits for it may broadcast at once.
	k.Start = h.backlog.Begin()
	if k.Slot, ok = h.gate.Admit(h.web.Connections()); !ok {
		ln.shard.refuse(k, ln.shard.full(k.Addr))
		return
	}
	if err := h.prepareClient(int(k.FD), k.Addr.IsUnix()); err != nil {
		h.log.Warnf("%s refused: %v", k.Addr, err)
		ln.shard.refuse(k, fmt.Sprintf("hubbub: refused: %v\n", err))
		return
	}
	on := h.gate.Fewest()
	h.gate.Assign(&k.Slot, on)
	if to := h.loops[on]; to != ln.shard {
		leaveMail(to, &to.mail.conns, k)
		return
	}
	ln.shard.come(k)
}
