package console

import (
	"fmt"
	"strconv"
	"time"

	"hubbub.example/internal/quantity"
)

// Status is the content of the status line.
type Status struct {
	Where   string // the address that is served or joined
	Clients int    // how many are connected; < 0: not shown
	In, Out Flow   // received and sent, since any fixed time
	Slowest uint64 // the client furthest behind
	Lag     int64  // how many bytes it is behind; 0: none is
}

// Flow is a count that only grows; the console shows its rate.
type Flow struct{ Messages, Bytes uint64 }

// rates turns the counts of Status into rates.
type rates struct {
	at      time.Time
	last    Status
	in, out rate
}

type rate struct {
	messages, bytes float64 // a second
}

// next takes the next Status.
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

// brief returns the rate of messages, or of bytes if messages are not counted.
func (r rate) brief() string {
	if r.messages == 0 && r.bytes > 0 {
		return quantity.Bytes(int64(r.bytes)) + "/s"
	}
	switch n := r.messages; {
	case n == 0:
		return "0/s"
	case n < 9.95:
		return strconv.FormatFloat(n, 'f', 1, 64) + "/s"
	case n < 9999.5:
		return quantity.Grouped(uint64(n+0.5)) + "/s"
	case n < 999.5e3:
		return strconv.FormatFloat(n/1e3, 'f', 0, 64) + "k/s"
	default:
		return strconv.FormatFloat(n/1e6, 'f', 1, 64) + "M/s"
	}
}

// long returns the rates of both.
func (r rate) long() string {
	if r.messages == 0 || r.bytes == 0 {
		return r.brief()
	}
	return r.brief() + " " + quantity.Bytes(int64(r.bytes)) + "/s"
}

// part is a part of the status line, in full and abbreviated.
type part struct{ long, short string }

// statusParts are the parts, most urgent first.
func (m *model) statusParts() []part {
	var parts []part
	add := func(long, short string) { parts = append(parts, part{long, short}) }
	c := m.paint.counts()
	if c.paused {
		add(fmt.Sprintf("PAUSED, %s waiting: ^Q resumes", quantity.Grouped(c.held)), "PAUSED "+quantity.Grouped(c.held))
	}
	if n := m.queue.waiting(); n > 0 {
		add(several(uint64(n), "line")+" waiting to be sent", quantity.Grouped(n)+" unsent")
	}
	if m.ended {
		add("input has ended", "ended")
	}
	s := m.rates.last
	if s.Clients >= 0 && m.asked {
		clients := several(uint64(s.Clients), "client")
		add(clients, clients)
	}
	if m.asked {
		add("in "+m.rates.in.long(), "in "+m.rates.in.brief())
		add("out "+m.rates.out.long(), "out "+m.rates.out.brief())
	}
	if s.Lag > 0 {
		add(fmt.Sprintf("slowest %d, %s behind", s.Slowest, quantity.Bytes(s.Lag)), fmt.Sprintf("%d -%s", s.Slowest, quantity.Bytes(s.Lag)))
	}
	if m.filter.any() {
		text := shorten(m.shown(m.filter.given), 20)
		add("filter "+text+", "+quantity.Grouped(c.hidden)+" hidden", "filter "+text)
	}
	if c.undrawn > 0 {
		add(quantity.Grouped(c.undrawn)+" skipped", quantity.Grouped(c.undrawn)+" skipped")
	}
	if s.Where != "" {
		where := m.shown(s.Where)
		add(where, "")
	}
	return parts
}

const between = " | "

// statusLine fits the parts into the width: it abbreviates the least urgent ones,
// then drops them.
func (m *model) statusLine() string {
	if m.Status == nil {
		return ""
	}
	parts, room := m.statusParts(), max(0, m.width-1)
	long := len(parts)
	for cellsOf(joined(parts, long)) > room && len(parts) > 1 {
		if long > 0 {
			long--
		} else {
			parts = parts[:len(parts)-1]
		}
	}
	return m.tint(dim, shorten(joined(parts, long), room))
}

// joined joins the parts, the first ones in full.
func joined(parts []part, long int) string {
	text := ""
	for i, p := range parts {
		word := p.short
		if i < long {
			word = p.long
		}
		if text != "" && word != "" {
			text += between
		}
		text += word
	}
	return text
}
