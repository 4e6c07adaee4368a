//go:build unix

package hubbub

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

// browsers is when the browsers at some addresses last asked for something.
// Any goroutine may use it.
type browsers struct {
	mu    sync.Mutex
	asked map[netip.Addr]time.Time
}

// ask says that a browser at a asks for something.
func (b *browsers) ask(a sock.Addr) {
	if a.IsUnix() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked == nil {
		b.asked = map[netip.Addr]time.Time{}
	}
	if len(b.asked) >= manyBrowsers {
		maps.DeleteFunc(b.asked, func(_ netip.Addr, at time.Time) bool { return time.Since(at) > headTime })
	}
	if len(b.asked) >= manyBrowsers {
		clear(b.asked) // nobody but an attacker has so many
	}
	b.asked[a.AddrPort().Addr()] = time.Now()
}

// askedWithin says whether one at a did so at most d ago.
func (b *browsers) askedWithin(a sock.Addr, d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.asked[a.AddrPort().Addr()]
	return ok && time.Since(at) <= d
}
