//go:build unix

package accept

// This file distinguishes spare connections of browsers from raw clients. A browser
// opens connections in advance, and sends nothing on them until it needs them. So a
// silent connection that comes at about the time of a request from the same address
// has as much time as a slow request.

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"hubbub.example/internal/sock"
)

const (
	// spareWithin is the time between a spare connection and a request of the
	// same browser, before or after it.
	spareWithin = time.Second

	// manyBrowsers is how many addresses are remembered.
	manyBrowsers = 1024
)

// Preconnects remembers when browsers last sent a request, by address. Any
// goroutine may use it.
type Preconnects struct {
	mu    sync.Mutex
	asked map[netip.Addr]time.Time
}

// Ask notes a request of a browser at a.
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
		clear(b.asked) // an attack
	}
	b.asked[a.AddrPort().Addr()] = time.Now()
}

// askedWithin reports whether a browser at a sent a request at most d ago.
func (b *Preconnects) askedWithin(a sock.Addr, d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.asked[a.AddrPort().Addr()]
	return ok && time.Since(at) <= d
}
