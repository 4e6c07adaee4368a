//go:build unix

package accept

// This file is how a browser's spare connections are told from raw clients.
// Beside the connections it asks on, a browser opens others in advance, and
// says nothing on them until it needs them: from far away, much later than a
// raw client is waited for. So what comes silently at about the time when a
// browser at the same address asks for something is waited for as long as for
// a slow request.

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"hubbub.example/internal/sock"
)

const (
	// spareWithin is how long before or after a spare connection its browser
	// asks for something.
	spareWithin = time.Second

	// manyBrowsers is how many are remembered.
	manyBrowsers = 1024
)

// Preconnects is when the browsers at some addresses last asked for something.
// Any goroutine may use it.
type Preconnects struct {
	mu    sync.Mutex
	asked map[netip.Addr]time.Time
}

// Ask notes that a browser at a asks for something.
func (b *Preconnects) Ask(a sock.Addr) {
	if a.IsUnix() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked == nil {
		b.asked = map[netip.Addr]time.Time{}
	}
	if len(b.asked) >= manyBrowsers {
		maps.DeleteFunc(b.asked, func(_ netip.Addr, at time.Time) bool { return time.Since(at) > HeadTime })
	}
	if len(b.asked) >= manyBrowsers {
		clear(b.asked) // nobody but an attacker has so many
	}
	b.asked[a.AddrPort().Addr()] = time.Now()
}

// askedWithin reports whether one at a did so at most d ago.
func (b *Preconnects) askedWithin(a sock.Addr, d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.asked[a.AddrPort().Addr()]
	return ok && time.Since(at) <= d
}
