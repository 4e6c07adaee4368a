//go:build unix

package delivery

import (
	"encoding/json"
	"fmt"

	"hubbub.example/internal/engine/backlog"
)

// stateVersion is the version of cursorState. Adding a field keeps it; changing the
// meaning of one needs a new version.
const stateVersion = 1

// cursorState is a Cursor in bytes. Its offsets are those of the restored backlog.
type cursorState struct {
	Version    int
	Pos        int64
	First      uint32
	Reads, Own backlog.Encoding
	Until      *int64         `json:",omitempty"`
	Closed     bool           `json:",omitempty"`
	Tail       []byte         `json:",omitempty"`
	Missed     int64          `json:",omitempty"`
	Begun      []byte         `json:",omitempty"`
	Control    *Control       `json:",omitempty"`
	Private    []Private      `json:",omitempty"`
	Dropped    int64          `json:",omitempty"`
	Excluded   *excludedState `json:",omitempty"`
}

type excludedState struct{ ID, Last uint64 }

// State returns the cursor as bytes, for Restore. It must not be called between Next
// and Sent. Samples are not kept.
func (c *Cursor) State() ([]byte, error) {
	s := cursorState{Version: stateVersion, Pos: c.pos, First: c.first, Reads: c.reads, Own: c.own}
	if x := c.excluded.Load(); x != nil && x.last.Load() > 0 {
		s.Excluded = &excludedState{x.id, x.last.Load()}
	}
	if m := c.more; m != nil {
		s.Closed, s.Tail, s.Missed = m.closed, m.tail, m.missed
		if m.ends {
			s.Until = &m.until
		}
		if m.control != nil {
			s.Begun, s.Control = m.control.begun, &m.control.Control
		}
		if m.private != nil {
			s.Private, s.Dropped = m.private.queue, m.private.dropped
		}
	}
	return json.Marshal(s)
}

// Restore makes an unused cursor continue from a State. What waits for the client
// counts for the quotas of p.
func (c *Cursor) Restore(state []byte, p *Policy) error {
	var s cursorState
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("restore what a client is sent: %w", err)
	}
	if s.Version != stateVersion || s.Reads >= backlog.Encodings || s.Own >= backlog.Encodings {
		return fmt.Errorf("restore what a client is sent: version %d, encodings %d and %d", s.Version, s.Reads, s.Own)
	}
	c.pos, c.first, c.reads, c.own = s.Pos, s.First, s.Reads, s.Own
	if x := s.Excluded; x != nil {
		c.Exclude(x.ID, x.Last)
	}
	m := c.need()
	m.closed, m.tail, m.missed = s.Closed, s.Tail, s.Missed
	m.kept.Grow(p.Kept, len(m.tail)) // granted before, over the limit or not
	if m.ends = s.Until != nil; m.ends {
		m.until = *s.Until
	}
	if s.Control != nil {
		m.control = &control{Control: *s.Control, begun: s.Begun}
	}
	if s.Private != nil || s.Dropped > 0 {
		x := &private{queue: s.Private, dropped: s.Dropped}
		for _, msg := range x.queue {
			x.share.Grow(p.Private, len(msg.Data))
		}
		m.private = x
	}
	c.tidy()
	return nil
}
