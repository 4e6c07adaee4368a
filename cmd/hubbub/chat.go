//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hubbub.example"
	"hubbub.example/internal/visible"
)

// This file is a chat room (--chat, docs/chat.md): lines carry the sender's name,
// joins and leaves are announced, and a line that begins with / is a slash command.
//
//	take      takes what clients did: one goroutine, so that all see one order
//	announce  sends a line to everybody, and to STDOUT
//	report    reports an event to a program instead of STDOUT
//	obey      carries out /nick, /who, /help
//	names.go  decides which names are allowed
//
// Control bytes are shown to others, never obeyed by their terminals.

// chat is the room. One goroutine has it.
type chat struct {
	hub    *hubbub.Hub
	say    func(ctx context.Context, line []byte, except ...uint64) error
	roster *roster // nil: STDOUT is for people

	guests    map[uint64]*guest
	order     []*guest // as they came
	names     names
	out       []byte // for STDOUT
	forOthers int    // messages of the batch that were for others
	closed    error  // why nothing is broadcast any more
}

// guest is one client in it.
type guest struct {
	id       uint64
	name     string
	folded   string // the name, as it is compared
	protocol string
	since    time.Time
}

// newChat returns the room of s. Its lines are for the guests of the moment, unless
// --replay unheard asks for them to be kept.
func newChat(s *server) *chat {
	c := &chat{hub: s.hub, say: s.hub.BroadcastHere, guests: map[uint64]*guest{}, names: names{}}
	if s.keepUnheard {
		c.say = s.hub.BroadcastExcept
	}
	if s.out == outJSON {
		c.roster = s.roster
	}
	return c
}

// take takes what clients did and returns the lines for STDOUT: all of them, even
// if the error is that nothing is broadcast any more.
func (c *chat) take(ctx context.Context, b *hubbub.Batch) ([]byte, error) {
	c.out, c.forOthers = c.out[:0], 0
	if c.roster != nil {
		c.roster.begin()
	}
	for e := range b.Events() {
		switch e.Kind {
		case hubbub.Join:
			c.join(ctx, e)
		case hubbub.Leave:
			c.leave(ctx, e)
		case hubbub.Message:
			c.message(ctx, e)
		}
	}
	return c.out, c.closed
}

func (c *chat) join(ctx context.Context, e hubbub.Event) {
	g := &guest{id: e.Client, protocol: e.Protocol, since: e.Time}
	c.names.enter(g, c.names.free(cmp.Or(e.Name, fmt.Sprintf("guest%d", e.Client)), g.id))
	c.guests[g.id] = g
	c.order = append(c.order, g)
	if g.name != e.Name {
		_ = c.hub.Rename(g.id, g.name) // it may have gone
	}
	c.report(g, e)
	if !passes(g) {
		c.announce(ctx, g, fmt.Sprintf("* %s is here", g.name))
	}
}

func (c *chat) leave(ctx context.Context, e hubbub.Event) {
	g := c.guests[e.Client]
	if g == nil {
		return
	}
	i := slices.Index(c.order, g)
	c.order = slices.Delete(c.order, i, i+1)
	delete(c.guests, g.id)
	c.names.leave(g)
	c.report(g, e)
	if passes(g) {
		return
	}
	why := ""
	if e.Code.Cut() {
		why = fmt.Sprintf(" (%s)", visible.AppendLine(nil, []byte(e.Reason)))
	}
	c.announce(ctx, g, fmt.Sprintf("* %s has left%s", g.name, why))
}

// passes reports whether g came only to post a message.
func passes(g *guest) bool { return g.protocol == "post" }

// message takes a message line by line, so that nobody can speak for others.
func (c *chat) message(ctx context.Context, e hubbub.Event) {
	g := c.guests[e.Client]
	if g == nil {
		return
	}
	for line := range bytes.SplitSeq(e.Data, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		text, escaped := bytes.CutPrefix(line, []byte("/"))
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case escaped && !bytes.HasPrefix(text, []byte("/")):
			c.obey(ctx, g, string(line))
		case escaped:
			c.line(ctx, g, e, text)
		default:
			c.line(ctx, g, e, line)
		}
	}
}

// line takes a line that is for others.
func (c *chat) line(ctx context.Context, g *guest, e hubbub.Event, line []byte) {
	if !c.announce(ctx, g, fmt.Sprintf("<%s> %s", g.name, visible.AppendLine(nil, line)), g.id) {
		return
	}
	c.forOthers++
	e.Data = line
	c.report(g, e)
}

// announce sends a line to everybody except some, and to STDOUT. If it is too long
// g, who caused it, gets an answer instead.
func (c *chat) announce(ctx context.Context, g *guest, line string, except ...uint64) bool {
	if len(line) > c.hub.Longest() {
		c.answer(g, fmt.Sprintf("* too long: a line has at most %d bytes, with your name", c.hub.Longest()))
		return false
	}
	if c.roster == nil {
		c.out = append(append(c.out, line...), '\n')
	}
	if err := c.say(ctx, []byte(line), except...); err != nil && c.closed == nil {
		c.closed = err
	}
	return true
}

// report reports e to a program, with the current name of g.
func (c *chat) report(g *guest, e hubbub.Event) {
	if c.roster != nil {
		e.Name = g.name
		c.out = c.roster.append(c.out, e)
	}
}

// answer sends a line to g alone, and reports whether g is still there.
func (c *chat) answer(g *guest, line string) bool {
	err := c.hub.Send([]byte(line), g.id)
	_, gone := errors.AsType[*hubbub.UnknownError](err)
	return !gone
}

const chatHelp = `* /nick NAME   change your name
* /who [NAME]  list the guests, or those with NAME in their name
* //TEXT       say /TEXT
* /help        print this`

// obey carries out a slash command of g.
func (c *chat) obey(ctx context.Context, g *guest, line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch rest = strings.TrimSpace(rest); word {
	case "/nick":
		c.nick(ctx, g, rest)
	case "/who":
		c.who(g, rest)
	case "/help":
		for line := range strings.SplitSeq(chatHelp, "\n") {
			c.answer(g, line)
		}
	default:
		c.answer(g, fmt.Sprintf("* unknown command %s; type /help for a list", visible.AppendLine(nil, []byte(cut(word, longestNick)))))
	}
}

func (c *chat) nick(ctx context.Context, g *guest, name string) {
	why := invalid(name)
	switch {
	case name == "":
		why = "missing name: /nick NAME"
	case why == "" && c.names.taken(name, g):
		why = "the name " + name + " is taken"
	case name == g.name:
		why = "you already are " + name
	}
	if why != "" {
		c.answer(g, "* "+why)
		return
	}
	old := g.name
	c.names.enter(g, name)
	_ = c.hub.Rename(g.id, name) // it may have gone
	if c.roster != nil {
		c.roster.rename(g.id, name)
	}
	if !passes(g) {
		c.announce(ctx, g, fmt.Sprintf("* %s is now %s", old, name))
	}
}

// mostShown is how many guests /who lists: more than anybody reads, and little
// beside the 1 MiB that may wait for a client.
const mostShown = 100

// who lists for g the guests whose name contains like. A client that asks a
// thousand times without reading is disconnected; the list ends there.
func (c *chat) who(g *guest, like string) {
	n := 0
	like = fold(like)
	for _, other := range c.order {
		if !strings.Contains(other.folded, like) {
			continue
		}
		if n++; n > mostShown {
			continue
		}
		if !c.answer(g, fmt.Sprintf("* %s (%s), since %s", other.name, other.protocol, other.since.Format(time.TimeOnly))) {
			return
		}
	}
	switch {
	case n == 0:
		c.answer(g, "* no guest has such a name")
	case n > mostShown:
		c.answer(g, fmt.Sprintf("* and %d more; /who NAME searches", n-mostShown))
	}
}
