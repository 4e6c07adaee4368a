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

// LookEvery is how often lingering connections must be checked.
const LookEvery = lingerLimit / 4

// Linger is the end of one client: why, and how long its connection lingers.
type Linger struct {
	Why    Reason
	Unread int // bytes of its input that are read before the end

	cut       bool      // it was not served to the end
	begun     time.Time // when it began to linger
	progress  time.Time // when it last made progress
	unacked   int       // bytes on their way to it, when last checked
	discarded int       // bytes that it has sent since begun
}

// Cut ends the client for why before it has everything.
func (l *Linger) Cut(why Reason) { l.Why, l.cut = why, true }

// Begin begins to linger, with unacked bytes on their way to the peer.
func (l *Linger) Begin(now time.Time, unacked int) {
	l.begun, l.progress, l.unacked = now, now, unacked
}

// Sent notes that some of the last bytes were sent.
func (l *Linger) Sent(now time.Time) { l.progress = now }

// Acknowledged notes how many bytes are still on their way to the peer.
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

// limit returns how long there may be no progress. A client that does not have
// everything may pause longer.
func (l *Linger) limit(draining bool, stall time.Duration) time.Duration {
	switch {
	case l.cut || l.unacked == 0:
		return lingerLimit
	case draining:
		return max(stall, lingerLimit)
	}
	return pauseLimit
}
