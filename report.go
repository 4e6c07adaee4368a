//go:build unix

package hubbub

// This file is what a hub tells over HTTP of itself: docs/protocol.md has the
// schema.

import "time"

// clientReport is one client in GET /clients.
type clientReport struct {
	ID       uint64  `json:"id"`
	Protocol string  `json:"protocol"`
	Addr     string  `json:"addr"`
	Name     string  `json:"name,omitempty"`
	Since    string  `json:"since"`
	Lag      int64   `json:"lag"`
	In       traffic `json:"in"`
	Out      traffic `json:"out"`
}

type traffic struct {
	Bytes    int64 `json:"bytes"`
	Messages int64 `json:"messages"`
}

// listClients is GET /clients.
func (h *Hub) listClients() any {
	list := struct {
		Clients []clientReport `json:"clients"`
	}{[]clientReport{}}
	parts := make(chan []clientReport, len(h.loops))
	for _, l := range h.loops {
		l.do(func() { parts <- l.listClients() })
	}
	for range h.loops {
		select {
		case part := <-parts:
			list.Clients = append(list.Clients, part...)
		case <-h.closed:
			return list
		}
	}
	return list
}

func (l *loop) listClients() []clientReport {
	var list []clientReport
	for _, clients := range []roster{l.clients, l.guests} {
		for _, c := range clients {
			if c.id != 0 && !c.left {
				list = append(list, l.report(c))
			}
		}
	}
	return list
}

func (l *loop) report(c *client) clientReport {
	r := clientReport{
		ID: c.id, Protocol: c.protocol.String(), Addr: c.addr.String(), Name: c.name(),
		Since: l.hub.began.Add(time.Duration(c.since) * time.Second).UTC().Format(time.RFC3339),
		In:    traffic{c.got, int64(c.messages)},
	}
	if c.protocol == speaksPost {
		return r
	}
	r.Lag, r.Out.Bytes = l.lag(c), c.sent
	r.Out.Messages = int64(l.wire(c).feed.Seq(c.cursor) - c.first)
	if c.extra != nil {
		r.Out.Messages -= c.extra.skipped
	}
	return r
}

// healthReport is GET /healthz.
type healthReport struct {
	Status  string `json:"status"`
	Epoch   string `json:"epoch"`
	Seq     uint64 `json:"seq"`
	Clients int64  `json:"clients"`
}

func (h *Hub) health() (report any, well bool) {
	r := healthReport{Status: "ok", Epoch: h.epoch, Seq: h.feed.Count(), Clients: h.clients.Load()}
	select {
	case <-h.stopped:
		r.Status = "ending"
	default:
	}
	return r, r.Status == "ok"
}
