//go:build unix

package engine

import (
	"fmt"
	"time"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
)

const acceptPause = time.Second

// failures are the throttled warnings of accept.
type failures struct{ noDescriptors, accept logger.Throttle }

// addListeners starts to accept.
func (l *shard) addListeners(ls []*sock.Listener) error {
	if l.draining || l.quitting {
		accept.CloseAll(ls)
		return backlog.ErrClosed
	}
	return l.acceptor.Add(ls)
}

// watch starts or stops watching the listeners.
func (l *shard) watch(on bool) {
	if err := l.acceptor.Watch(on); err != nil {
		l.engine.log.Warnf("%v", err)
	}
}

// accept accepts from the ready listeners, unless the inbox is full.
func (l *shard) accept() {
	if !l.acceptor.HasReady() {
		return
	}
	inbox := l.engine.inbox
	if inbox.Deferred() {
		l.watch(false)
		return
	}
	failed := l.acceptor.Accept(func(k accept.Conn) (more bool) {
		l.admit(k)
		return !inbox.Deferred()
	})
	for _, f := range failed {
		l.acceptFailed(f)
	}
}

// acceptFailed logs an error of accept and continues.
func (l *shard) acceptFailed(f accept.Failure) {
	if !f.OutOfDescriptors() {
		if once := &l.failures.accept; once.Allow(l.Now()) {
			l.engine.log.Warnf("%s: %v", f.Listener, f.Err)
		}
		l.rest()
		return
	}
	if once := &l.failures.noDescriptors; once.Allow(l.Now()) {
		l.engine.log.Warnf("%s: accept: out of descriptors with %s: others are refused; raise the limit (ulimit -n) to serve more%s", f.Listener, quantity.Count(l.engine.gate.Clients(), "client"), once.Suppressed())
	}
	if k, ok := l.acceptor.AcceptWithReserve(f.Listener); ok {
		k.Slot, _ = l.engine.gate.Admit(0)
		l.refuse(k, "hubbub: refused: the server is out of descriptors\n")
	}
	l.rest()
}

// rest pauses accepting until a descriptor is free, or for a second.
func (l *shard) rest() {
	l.watch(false)
	l.engine.resting.Store(true)
	l.nextAccept.In(acceptPause)
}

// resumeAccept resumes accepting.
func (l *shard) resumeAccept() {
	h := l.engine
	if l != h.loops[0] || l.acceptor.Watching() || h.inbox.Deferred() || h.resting.Load() {
		return
	}
	if !l.acceptor.Renew() && h.gate.Lingering() > 0 {
		return // a refused connection uses the reserve
	}
	l.watch(true)
}

// admit gives a new connection to the loop with the fewest.
func (l *shard) admit(k accept.Conn) {
	h := l.engine
	var ok bool
	// Who waits for it to be there may broadcast at once: it begins before.
	k.Start = h.backlog.Begin()
	if k.Slot, ok = h.gate.Admit(h.web.Connections()); !ok {
		l.refuse(k, l.full(k.Addr))
		return
	}
	if err := h.prepareClient(int(k.FD), k.Addr.IsUnix()); err != nil {
		h.log.Warnf("%s refused: %v", k.Addr, err)
		l.refuse(k, fmt.Sprintf("hubbub: refused: %v\n", err))
		return
	}
	on := h.gate.Fewest()
	h.gate.Assign(&k.Slot, on)
	if to := h.loops[on]; to != l {
		leaveMail(to, &to.mail.conns, k)
		return
	}
	l.come(k)
}
