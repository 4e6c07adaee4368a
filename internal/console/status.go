package console

import (
	"fmt"
	"strconv"
	"time"
)

// Status is what the status line says. The zero value says nothing.
type Status struct {
	Where   string // what is served, or joined: said first
	Clients int    // how many are connected; less than 0 where that is no question
	In, Out Flow   // what came and what went, since whenever
	Slowest uint64 // the client that is furthest behind
	Lag     int64  // by how many bytes; 0 if nobody is
}

// Flow is a count that only grows. The console makes a rate of it.
type Flow struct{ Messages, Bytes uint64 }

// rates makes rates of what Status counts.
type rates struct {
	at      time.Time
	last    Status
	in, out rate
}

type rate struct {
	messages, bytes float64 // a second
}

// next takes a new count.
func (r *rates) next(at time.Time, s Status) {
	if passed := at.Sub(r.at).Seconds(); !r.at.IsZero() && passed > 0 {
		r.in = r.in.of(s.In, r.last.In, passed)
		r.out = r.out.of(s.Out, r.last.Out, passed)
	}
	r.at, r.last = at, s
}

func (rate) of(now, before Flow, seconds float64) rate {
	return rate{
		float64(now.Messages-min(now.Messages, before.Messages)) / seconds,
		float64(now.Bytes-min(now.Bytes, before.Bytes)) / seconds,
	}
}

// brief is a rate in a few characters.
func (r rate) brief() string {
	if r.messages == 0 && r.bytes > 0 {
		return bytesOf(int64(r.bytes)) + "/s"
	}
	switch n := r.messages; {
	case n == 0:
		return "0/s"
	case n < 9.95:
		return strconv.FormatFloat(n, 'f', 1, 64) + "/s"
	case n < 9999.5:
		return countOf(uint64(n+0.5)) + "/s"
	case n < 999.5e3:
		return strconv.FormatFloat(n/1e3, 'f', 0, 64) + "k/s"
	default:
		return strconv.FormatFloat(n/1e6, 'f', 1, 64) + "M/s"
	}
}

// long has the bytes as well.
func (r rate) long() string {
	if r.messages == 0 || r.bytes == 0 {
		return r.brief()
	}
	return r.brief() + " " + bytesOf(int64(r.bytes)) + "/s"
}

// part is something the status line says, in its own words and in fewer, for
// when there is little room.
type part struct{ long, short string }

// statusParts is what there is to say, the most urgent first.
func (m *model) statusParts() []part {
	var parts []part
	say := func(long, short string) { parts = append(parts, part{long, short}) }
	c := m.paint.counts()
	if c.paused {
		say(fmt.Sprintf("PAUSED, %s waiting: ^Q goes on", countOf(c.held)), "PAUSED "+countOf(c.held))
	}
	if n := m.queue.waiting(); n > 0 {
		say(several(uint64(n), "line")+" to be sent", countOf(uint64(n))+" unsent")
	}
	if m.ended {
		say("input has ended", "ended")
	}
	s := m.rates.last
	if s.Clients >= 0 && m.asked {
		clients := several(uint64(s.Clients), "client")
		say(clients, clients)
	}
	if m.asked {
		say("in "+m.rates.in.long(), "in "+m.rates.in.brief())
		say("out "+m.rates.out.long(), "out "+m.rates.out.brief())
	}
	if s.Lag > 0 {
		say(fmt.Sprintf("slowest %d, %s behind", s.Slowest, bytesOf(s.Lag)), fmt.Sprintf("%d -%s", s.Slowest, bytesOf(s.Lag)))
	}
	if m.filter.any() {
		text := m.next.shorten(m.shown(m.filter.given), 20)
		say("filter "+text+", "+countOf(c.hidden)+" hidden", "filter "+text)
	}
	if c.undrawn > 0 {
		say(countOf(c.undrawn)+" not drawn", countOf(c.undrawn)+" undrawn")
	}
	if s.Where != "" {
		where := m.shown(s.Where)
		say(where, "")
	}
	return parts
}

const between = " | "

// statusLine says as much as there is room for: the least urgent parts become
// short, and then they go.
func (m *model) statusLine() string {
	if m.Status == nil {
		return ""
	}
	parts, room := m.statusParts(), max(0, m.width-1)
	long := len(parts)
	for m.next.width(joined(parts, long)) > room && len(parts) > 1 {
		if long > 0 {
			long--
		} else {
			parts = parts[:len(parts)-1]
		}
	}
	return m.tint(dim, m.next.shorten(joined(parts, long), room))
}

// joined is the parts, so many of them in full.
func joined(parts []part, long int) string {
	text := ""
	for i, p := range parts {
		said := p.short
		if i < long {
			said = p.long
		}
		if text != "" && said != "" {
			text += between
		}
		text += said
	}
	return text
}
