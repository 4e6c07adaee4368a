package ending

import "time"

// How long a connection stays open without progress after the hub's direction has
// ended. Bytes that the peer acknowledges are progress. Bytes that it sends are
// progress for talkLimit only, and at most talkBytes of them are read: what is on
// its way to the peer arrives without that. A client that was cut stays no longer
// than cutLimit, whatever it takes.
const (
	lingerLimit = time.Second
	pauseLimit  = 5 * time.Second // while something is on its way to it
	talkLimit   = 5 * time.Second
	cutLimit    = 10 * time.Second
	talkBytes   = 256 << 10
)

// LookEvery is how often somebody must look at those that linger.
const LookEvery = lingerLimit / 4

// Linger is the end of one client: why it ends, and how long its connection
// lasts after that.
type Linger struct {
	Why    Reason
	Unread int // bytes of its input that are read before the end

	cut       bool      // it was not served to the end
	begun     time.Time // since when it lingers
	progress  time.Time // the last
	unacked   int       // bytes on their way to it, when last looked at
	discarded int       // bytes that it has sent since begun
}

// Cut has the client end for why before it has everything.
func (l *Linger) Cut(why Reason) { l.Why, l.cut = why, true }

// Begin begins to linger, with so many bytes on their way to the peer.
func (l *Linger) Begin(now time.Time, unacked int) {
	l.begun, l.progress, l.unacked = now, now, unacked
}

// Sent is the sending of the last that the client gets.
func (l *Linger) Sent(now time.Time) { l.progress = now }

// Acknowledged is how many bytes are still on their way to the peer.
func (l *Linger) Acknowledged(now time.Time, unacked int) {
	if unacked < l.unacked {
		l.unacked, l.progress = unacked, now
	}
}

// Discarded counts n bytes that the peer has sent.
func (l *Linger) Discarded(now time.Time, n int) {
	if l.discarded += n; n > 0 && now.Sub(l.begun) < talkLimit {
		l.progress = now
	}
}

// Deaf reports whether the peer has sent so much that no more of it is read.
func (l *Linger) Deaf() bool { return l.discarded >= talkBytes }

// Over reports whether the connection has made no progress for too long. While
// the hub drains, a client may pause for as long as stall.
func (l *Linger) Over(now time.Time, draining bool, stall time.Duration) bool {
	return now.Sub(l.progress) >= l.limit(draining, stall) || l.cut && now.Sub(l.begun) >= cutLimit
}

// limit returns for how long there may be no progress. A client that has yet to
// take what it was promised may pause for longer than one that has everything.
func (l *Linger) limit(draining bool, stall time.Duration) time.Duration {
	switch {
	case l.cut || l.unacked == 0:
		return lingerLimit
	case draining:
		return max(stall, lingerLimit)
	}
	return pauseLimit
}
