//go:build unix

package accept

import (
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"
)

// Whatever a slot became, releasing it leaves nothing behind, and nothing goes
// below zero on the way.
func TestSlotsComeBack(t *testing.T) {
	const maxClients, maxConnections = 20, 30
	g := NewGate(maxClients, maxConnections, 4)
	var all sync.WaitGroup
	for seed := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(seed)))
			var held []Slot
			for range 2000 {
				switch r.IntN(4) {
				case 0:
					if s, ok := g.Guest(); ok {
						held = append(held, s)
					}
				case 1:
					s, ok := g.Admit(0)
					switch {
					case !ok:
						g.Linger(&s)
					default:
						if g.Assign(&s, g.Fewest()); !g.BecomeClient(&s) {
							g.Linger(&s)
						}
					}
					held = append(held, s)
				default:
					if n := len(held); n > 0 {
						i := r.IntN(n)
						g.Release(&held[i])
						g.Release(&held[i]) // it holds nothing any more
						held = append(held[:i], held[i+1:]...)
					}
				}
				if n := g.Clients(); n < 0 {
					t.Errorf("%d clients", n)
				}
			}
			for i := range held {
				g.Release(&held[i])
			}
		})
	}
	all.Wait()
	if g.Connections() != 0 || g.Clients() != 0 || g.Lingering() != 0 {
		t.Errorf("left: %d connections, %d clients, %d lingering", g.Connections(), g.Clients(), g.Lingering())
	}
	for i := range g.assigned {
		if n := g.assigned[i].Load(); n != 0 {
			t.Errorf("left: %d of loop %d", n, i)
		}
	}
}

// As many clients as may be, and connections with those elsewhere, come in; one
// more does not, until one goes.
func TestGateIsFull(t *testing.T) {
	g := NewGate(2, 3, 1)
	var slots []Slot
	for i := range 4 {
		s, ok := g.Admit(0)
		if slots = append(slots, s); ok != (i < 3) {
			t.Errorf("connection %d: %v", i, ok)
		}
	}
	for i := range 3 {
		if ok := g.BecomeClient(&slots[i]); ok != (i < 2) {
			t.Errorf("client %d: %v", i, ok)
		}
	}
	if _, ok := g.Guest(); ok || !g.Full() || g.Clients() != 2 {
		t.Errorf("a guest comes in beside %d clients", g.Clients())
	}
	if wasClient, wasRefused := g.Release(&slots[0]); !wasClient || wasRefused {
		t.Errorf("a client's slot was %v, %v", wasClient, wasRefused)
	}
	if s, ok := g.Guest(); !ok || s == (Slot{}) {
		t.Error("there is room again, and nobody comes in")
	}
	if _, ok := g.Admit(1); ok {
		t.Error("those elsewhere do not count")
	}
}

// Connections go where the fewest are; refused ones count nowhere.
func TestConnectionsAreSharedOut(t *testing.T) {
	g := NewGate(100, 100, 3)
	var slots []Slot
	for range 9 {
		s, _ := g.Admit(0)
		g.Assign(&s, g.Fewest())
		slots = append(slots, s)
	}
	for i := range g.assigned {
		if n := g.assigned[i].Load(); n != 3 {
			t.Errorf("loop %d has %d of 9", i, n)
		}
	}
	lingers := 0
	for i := range slots {
		if g.Linger(&slots[i]) {
			lingers++
		}
	}
	if g.Fewest() != 0 || g.assigned[0].Load() != 0 || lingers != 9 {
		t.Errorf("%d of 9 linger", lingers)
	}
}

// There is a Conn for each connection that says nothing.
func TestAConnIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 64 {
		t.Errorf("a connection has %d bytes", n)
	}
}
