//go:build unix

package engine

// This file is what a hub reports about itself over HTTP: docs/http.md has the
// schema.

import (
	"slices"
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/intake"
)

// clientReport is one client in GET /clients.
type clientReport struct {
	ID       uint64  `json:"id"`
	Protocol string  `json:"protocol"`
	Addr     string  `json:"addr"`
	Name     string  `json:"name,omitempty"`
	Since    string  `json:"since"`
	Lag      int64   `json:"lag"`
	Muted    bool    `json:"muted,omitempty"`
	In       traffic `json:"in"`
	Out      traffic `json:"out"`
}

type traffic struct {
	Bytes    int64 `json:"bytes"`
	Messages int64 `json:"messages"`
}

// ClientInfo describes one client.
type ClientInfo struct {
	ID       uint64
	Name     string    // "" if it has none
	Protocol string    // as in Event
	Addr     string    // as in Event
	Since    time.Time // when it joined, to the second
	Lag      int64     // bytes of its feed not yet sent to it
	Muted    bool      // its messages are ignored

	BytesIn, MessagesIn   int64 // from it
	BytesOut, MessagesOut int64 // sent to it
}

// Clients returns the connected clients, in no order. It asks the shards, so it
// must not be called where one may wait for the caller.
func (h *Engine) Clients() []ClientInfo { return slices.Concat(askAll(h, (*shard).listClients)...) }

// Slowest returns the client that is furthest behind, and by how many bytes; 0 and
// 0 if no client is behind. It asks the shards, as Clients does.
func (h *Engine) Slowest() (id uint64, lag int64) {
	for _, c := range askAll(h, (*shard).slowest) {
		if c.lag > lag {
			id, lag = c.id, c.lag
		}
	}
	return id, lag
}

type lagging struct {
	id  uint64
	lag int64
}

func (m *members) slowest() (most lagging) {
	for _, c := range m.clients {
		if !c.Present() {
			continue
		}
		if lag := m.shard.lag(c); lag > most.lag {
			most = lagging{c.ID(), lag}
		}
	}
	return most
}

func (m *members) listClients() []ClientInfo {
	var v backlog.View
	m.engine.backlog.View(&v)
	var list []ClientInfo
	for _, c := range m.clients {
		if c.Present() {
			list = append(list, m.info(c, &v))
		}
	}
	for _, p := range m.posts {
		if p.Present() {
			i := m.infoOf(&p.Sender)
			i.BytesIn = p.Received()
			list = append(list, i)
		}
	}
	return list
}

// infoOf describes a sender.
func (m *members) infoOf(s *intake.Sender) ClientInfo {
	return ClientInfo{
		ID: s.ID(), Name: s.Name(), Protocol: s.Protocol().String(), Addr: s.Addr().String(),
		Since: m.engine.began.Add(time.Duration(s.Since()) * time.Second),
		Muted: s.Muted(), MessagesIn: int64(s.Messages()),
	}
}

func (m *members) info(c *client, v *backlog.View) ClientInfo {
	i := m.infoOf(&c.Sender)
	i.BytesIn, i.BytesOut = c.link.Received(), c.link.Sent()
	i.Lag, i.MessagesOut = c.out.Lag(v), c.out.Messages(v)
	return i
}

// listClients is GET /clients.
func (h *Engine) listClients() any {
	list := struct {
		Clients []clientReport `json:"clients"`
	}{[]clientReport{}}
	for _, i := range h.Clients() {
		list.Clients = append(list.Clients, clientReport{
			ID: i.ID, Protocol: i.Protocol, Addr: i.Addr, Name: i.Name,
			Since: i.Since.UTC().Format(time.RFC3339), Lag: i.Lag, Muted: i.Muted,
			In: traffic{i.BytesIn, i.MessagesIn}, Out: traffic{i.BytesOut, i.MessagesOut},
		})
	}
	return list
}

// healthReport is GET /healthz.
type healthReport struct {
	Status  string `json:"status"`
	Epoch   string `json:"epoch"`
	Seq     uint64 `json:"seq"`
	Clients int64  `json:"clients"`
}

func (h *Engine) health() (report any, well bool) {
	r := healthReport{Status: "ok", Epoch: h.Epoch(), Seq: h.backlog.Count(), Clients: h.gate.Clients()}
	select {
	case <-h.backlog.Stopped():
		r.Status = "ending"
	default:
	}
	return r, r.Status == "ok"
}

// Stats are the counters of a hub.
type Stats struct {
	Clients     int   // connected now
	Joins       int64 // clients ever
	Refused     int64 // connections refused: full, or out of descriptors
	MessagesIn  int64 // from clients
	BytesIn     int64
	Broadcasts  int64 // messages broadcast
	BytesOut    int64 // sent to all clients
	Sends       int64 // system calls that sent them
	Skipped     int64 // messages that slow clients missed
	Lost        int64 // messages dropped before any client received them
	LogsDropped int64 // log lines dropped: the log's queue was full
}

// Stats returns what the hub has counted up to now.
func (h *Engine) Stats() Stats {
	s := Stats{
		Clients:     int(h.gate.Clients()),
		Refused:     h.gate.Refused(),
		Broadcasts:  int64(h.backlog.Count()),
		Lost:        h.backlog.Lost(),
		LogsDropped: h.log.Dropped(),
	}
	for _, l := range h.loops {
		for i, sum := range []*int64{&s.Joins, &s.MessagesIn, &s.BytesIn, &s.BytesOut, &s.Sends, &s.Skipped} {
			*sum += l.stats.shown[i].Load()
		}
	}
	return s
}
