//go:build unix

package hubbub

// This file finds peers that are gone without a word, and clients that are
// idle. There is no timer for a client: while something is outstanding, a
// loop walks through its clients a few times in a keepalive.
//
// An idle peer is the kernel's matter (TCP keepalive). But while data is
// under way no keepalive is asked for, and TCP_USER_TIMEOUT would end a peer
// that merely pauses; so clients with unacknowledged data are asked about
// here. A peer that is alive acknowledges what reaches it, and if its window
// is shut, the probes: dead is only who leaves questions unanswered.

import (
	"fmt"
	"time"

	"hubbub.example/internal/sock"
)

// walksAKeepAlive is how many patrols there are in one keepalive.
const walksAKeepAlive = 4

// silence is since when a client leaves questions unanswered; zero: it does not.
type silence struct {
	since time.Time
}

// look enters what the kernel knows, and says for how long no answer has come.
func (s *silence) look(now time.Time, got sock.Silent) time.Duration {
	if !got.Asked {
		s.since = time.Time{}
		return 0
	}
	if last := now.Add(-got.LastAck); s.since.IsZero() || last.After(s.since) {
		s.since = now
	}
	return now.Sub(s.since)
}

func (l *loop) schedulePatrol() {
	l.schedule(&l.nextPatrol, l.hub.patrolEvery)
}

// patrolEvery is the time between two patrols.
func patrolEvery(o Options) time.Duration {
	every := time.Hour
	if o.KeepAlive > 0 {
		every = o.KeepAlive / walksAKeepAlive
	}
	if o.IdleTimeout > 0 {
		every = min(every, o.IdleTimeout/4)
	}
	return max(every, time.Millisecond)
}

// patrol is one walk.
func (l *loop) patrol() {
	o := &l.hub.o
	again := o.IdleTimeout > 0 && len(l.clients)+len(l.strangers.silent)+len(l.strangers.expected) > 0
	for _, c := range l.clients {
		if !c.streams() {
			continue
		}
		if c.unsettled {
			l.askAfter(c)
			again = again || c.unsettled
			l.takes(c)
		}
		// Who is not read, since the inbox is full, is not idle.
		if o.IdleTimeout > 0 && c.streams() && !c.readable && l.idle(c) >= o.IdleTimeout {
			l.cut(c, fmt.Sprintf("idle for %s", o.IdleTimeout))
		}
	}
	if o.IdleTimeout > 0 {
		l.strangers.patrol(l, o.IdleTimeout)
	}
	if again {
		l.schedulePatrol()
	}
}

// takes has c not idle when it took something of what it was sent, though all
// of that was sent long ago.
func (l *loop) takes(c *client) {
	if l.hub.o.IdleTimeout <= 0 || !c.unsettled || !c.streams() {
		return
	}
	if n := c.acknowledged(); n > c.more().taken {
		c.extra.taken, c.sentAt = n, l.millis
	}
}

// idle is for how long no byte went either way.
func (l *loop) idle(c *client) time.Duration {
	return time.Duration(min(l.millis-c.sentAt, l.millis-c.heardAt)) * time.Millisecond
}

// askAfter looks whether c's peer has all it was sent, or answers at least.
func (l *loop) askAfter(c *client) {
	if n, err := sock.Unacked(int(c.fd)); err == nil && n == 0 {
		l.credit(c)
		l.distrust(c)
		c.unsettled = !c.listens
		if c.extra != nil {
			c.extra.silent, c.extra.taken = silence{}, 0
			c.tidy()
		}
		return
	}
	keep := l.hub.o.KeepAlive
	if keep <= 0 || c.addr.IsUnix() {
		return
	}
	got, err := sock.Silence(int(c.fd))
	if err != nil || !got.Asked && c.extra == nil {
		return
	}
	if quiet := c.more().silent.look(l.now, got); quiet >= keep {
		l.lost(c, fmt.Errorf("dead: no answer for %s", quiet.Round(time.Second/10)))
	}
}
