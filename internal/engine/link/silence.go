//go:build unix

package link

// This file measures the peer: what it has acknowledged, for how long no byte went
// either way, and for how long it has not answered probes.

import (
	"time"

	"hubbub.example/internal/sock"
)

// Unacked returns how many sent bytes the peer has not acknowledged. A Unix socket
// counts the kernel's overhead too, and TCP the end of file as a byte.
func (k *Link) Unacked() (int, error) { return sock.Unacked(int(k.fd)) }

// Acknowledged returns how many bytes the peer has taken in all. Where the kernel
// cannot tell, what was sent must do.
func (k *Link) Acknowledged() int64 {
	n, err := k.Unacked()
	if err != nil {
		return k.sent
	}
	return k.sent - int64(n)
}

// Owed returns how many of the bytes that were sent the peer has not acknowledged.
func (k *Link) Owed() int64 {
	n, _ := k.Unacked()
	if n > 0 && k.Ready&(shut|local) == shut {
		n-- // the end of file (RFC 9293, section 3.4)
	}
	return min(int64(n), k.sent)
}

// Unsettle notes that the peer may not have all it was sent, and reports
// whether that is new.
func (k *Link) Unsettle() bool {
	was := k.Unsettled()
	k.Ready |= unsettled
	return !was
}

// Settle reports whether the peer has all it was sent, which ends what was
// noted meanwhile.
func (k *Link) Settle() bool {
	if n, err := k.Unacked(); err != nil || n > 0 {
		return false
	}
	k.Ready &^= unsettled
	k.NarrowUnsent()
	if k.extra != nil {
		k.extra.silence, k.extra.taken = silence{}, 0
		k.tidy()
	}
	return true
}

// Silent returns for how long the peer has left questions unanswered. A Unix
// socket's peer is asked none.
func (k *Link) Silent(now time.Time) time.Duration {
	if k.Ready&local != 0 {
		return 0
	}
	got, err := sock.Silence(int(k.fd))
	if err != nil || !got.Asked && k.extra == nil {
		return 0
	}
	return k.more().silence.look(now, got)
}

// silence is since when a peer leaves questions unanswered; zero: it does not.
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

// SampleTaken resets the idle time if the peer has acknowledged something since the
// last call.
func (k *Link) SampleTaken(now uint32) {
	if n := k.Acknowledged(); k.extra != nil && n > k.extra.taken || k.extra == nil && n > 0 {
		k.more().taken, k.sentAt = n, now
	}
}

// Idle returns for how long no byte has gone either way.
func (k *Link) Idle(now uint32) time.Duration { return min(k.SinceSent(now), k.SinceRecv(now)) }

// SinceSent and SinceRecv are for how long nothing was sent, or received.
func (k *Link) SinceSent(now uint32) time.Duration { return since(k.sentAt, now) }
func (k *Link) SinceRecv(now uint32) time.Duration { return since(k.recvAt, now) }

// since is right across the wrap of the milliseconds after 49 days.
func since(at, now uint32) time.Duration { return time.Duration(now-at) * time.Millisecond }
