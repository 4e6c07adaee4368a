//go:build unix

package accept

import "sync/atomic"

// MaxLingering is how many refused connections linger at a time. More are closed
// at once.
const MaxLingering = 16

// Gate counts connections and clients, and limits them. Any goroutine may use it.
type Gate struct {
	maxClients     int64
	MaxConnections int64 // set before the first one comes

	connections atomic.Int64 // that loops have, clients or not yet
	clients     atomic.Int64
	lingering   atomic.Int64 // of the connections, refused ones
	refused     atomic.Int64 // ever
	assigned    []atomic.Int64
}

// NewGate makes a gate for loops loops.
func NewGate(maxClients, maxConnections, loops int) *Gate {
	return &Gate{maxClients: int64(maxClients), MaxConnections: int64(maxConnections), assigned: make([]atomic.Int64, loops)}
}

// Connections, Clients and Lingering count those that there are now, and Refused
// those that ever were.
func (g *Gate) Connections() int64 { return g.connections.Load() }
func (g *Gate) Clients() int64     { return g.clients.Load() }
func (g *Gate) Lingering() int64   { return g.lingering.Load() }
func (g *Gate) Refused() int64     { return g.refused.Load() }

// Full reports whether no more clients are allowed.
func (g *Gate) Full() bool { return g.clients.Load() >= g.maxClients }

// Slot is what one connection counts as. The zero value counts as nothing. Its last
// owner gives it to Release.
type Slot struct {
	loop int16 // from 1; 0: it is assigned to none
	is   holds
}

type holds uint8

const (
	connection holds = 1 << iota
	client
	refused
)

// Admit returns a slot for a connection; elsewhere is how many more connections
// there are. If ok is false, the connection must be refused, but it counts as well.
func (g *Gate) Admit(elsewhere int) (s Slot, ok bool) {
	return Slot{is: connection}, g.connections.Add(1)+int64(elsewhere) <= g.MaxConnections
}

// Guest returns a slot for a client without a connection of its own.
func (g *Gate) Guest() (s Slot, ok bool) {
	ok = g.BecomeClient(&s)
	return s, ok
}

// BecomeClient has s count as a client too, if one more is allowed.
func (g *Gate) BecomeClient(s *Slot) bool {
	if g.clients.Add(1) > g.maxClients {
		g.clients.Add(-1)
		return false
	}
	s.is |= client
	return true
}

// Fewest returns the loop that has the fewest connections.
func (g *Gate) Fewest() int {
	to := 0
	for i := range g.assigned {
		if g.assigned[i].Load() < g.assigned[to].Load() {
			to = i
		}
	}
	return to
}

// Assign has s count for a loop.
func (g *Gate) Assign(s *Slot, loop int) {
	s.loop = int16(loop + 1)
	g.assigned[loop].Add(1)
}

// Linger has s count as a refused connection that lingers, and for no loop. It is
// not ok if too many linger already.
func (g *Gate) Linger(s *Slot) (ok bool) {
	g.unassign(s)
	s.is |= refused
	return g.lingering.Add(1) <= MaxLingering
}

// CountRefused counts a refused connection.
func (g *Gate) CountRefused() { g.refused.Add(1) }

func (g *Gate) unassign(s *Slot) {
	if s.loop > 0 {
		g.assigned[s.loop-1].Add(-1)
		s.loop = 0
	}
}

// Release gives s back and returns what it counted as.
func (g *Gate) Release(s *Slot) (wasClient, wasRefused bool) {
	g.unassign(s)
	if s.is&connection != 0 {
		g.connections.Add(-1)
	}
	if wasClient = s.is&client != 0; wasClient {
		g.clients.Add(-1)
	}
	if wasRefused = s.is&refused != 0; wasRefused {
		g.lingering.Add(-1)
	}
	*s = Slot{}
	return wasClient, wasRefused
}
