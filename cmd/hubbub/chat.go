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

// This file is a room for people (--chat, docs/chat.md): who says something is
// named, who comes and goes is announced, and what begins with / is for the room
// itself.
//
//	take      what clients did, in order: one goroutine, so that all see one order
//	tell      a line for everybody, and for STDOUT
//	note      the same for a program, as an event
//	obey      /nick, /who, /help
//	names.go  what one may be called
//
// Whatever was typed is shown to others, never obeyed by their terminals.

// chat is the room. One goroutine has it.
type chat struct {
	hub     *hubbub.Hub
	say     func(ctx context.Context, line []byte, except ...uint64) error
	present *present // nil: STDOUT is for people

	here   map[uint64]*guest
	order  []*guest // as they came
	called names
	said   []byte // what STDOUT is to say
	heard  int    // of the batch that were for others
	closed error  // why nobody hears anything any more
}

// guest is one client in it.
type guest struct {
	id       uint64
	name     string
	look     string // of the name
	protocol string
	since    time.Time
}

// newChat is the room of s. What is said in it is for those who are there,
// unless somebody wants it kept.
func newChat(s *server) *chat {
	c := &chat{hub: s.hub, say: s.hub.BroadcastHere, here: map[uint64]*guest{}, called: names{}}
	if s.keepUnheard {
		c.say = s.hub.BroadcastExcept
	}
	if s.out == outJSON {
		c.present = s.present
	}
	return c
}

// take lets the room have what clients did, and returns what STDOUT is to say of
// it, with newlines: all of it, also when the error says that clients hear no more.
func (c *chat) take(ctx context.Context, b *hubbub.Batch) ([]byte, error) {
	c.said, c.heard = c.said[:0], 0
	if c.present != nil {
		c.present.begin()
	}
	for e := range b.Events() {
		switch e.Kind {
		case hubbub.Join:
			c.join(ctx, e)
		case hubbub.Leave:
			c.leave(ctx, e)
		case hubbub.Message:
			c.hear(ctx, e)
		}
	}
	return c.said, c.closed
}

func (c *chat) join(ctx context.Context, e hubbub.Event) {
	g := &guest{id: e.Client, protocol: e.Protocol, since: e.Time}
	c.called.enter(g, c.called.free(cmp.Or(e.Name, fmt.Sprintf("guest%d", e.Client)), g.id))
	c.here[g.id] = g
	c.order = append(c.order, g)
	if g.name != e.Name {
		_ = c.hub.Rename(g.id, g.name) // it may have gone
	}
	c.note(g, e)
	if !passes(g) {
		c.tell(ctx, g, fmt.Sprintf("* %s is here", g.name))
	}
}

func (c *chat) leave(ctx context.Context, e hubbub.Event) {
	g := c.here[e.Client]
	if g == nil {
		return
	}
	i := slices.Index(c.order, g)
	c.order = slices.Delete(c.order, i, i+1)
	delete(c.here, g.id)
	c.called.leave(g)
	c.note(g, e)
	if passes(g) {
		return
	}
	why := ""
	if e.Code.Cut() {
		why = fmt.Sprintf(" (%s)", visible.AppendLine(nil, []byte(e.Reason)))
	}
	c.tell(ctx, g, fmt.Sprintf("* %s has left%s", g.name, why))
}

// passes says that g comes only to say something.
func passes(g *guest) bool { return g.protocol == "post" }

// hear takes what one says: each line of it, so that nobody can speak for others.
func (c *chat) hear(ctx context.Context, e hubbub.Event) {
	g := c.here[e.Client]
	if g == nil {
		return
	}
	for line := range bytes.SplitSeq(e.Data, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		said, escaped := bytes.CutPrefix(line, []byte("/"))
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case escaped && !bytes.HasPrefix(said, []byte("/")):
			c.obey(ctx, g, string(line))
		case escaped:
			c.hearLine(ctx, g, e, said)
		default:
			c.hearLine(ctx, g, e, line)
		}
	}
}

// hearLine takes a line that is for others.
func (c *chat) hearLine(ctx context.Context, g *guest, e hubbub.Event, line []byte) {
	if !c.tell(ctx, g, fmt.Sprintf("<%s> %s", g.name, visible.AppendLine(nil, line)), g.id) {
		return
	}
	c.heard++
	e.Data = line
	c.note(g, e)
}

// tell says a line to everybody but some, and to STDOUT, if it may be so long:
// else it says so to g, whose doing it is.
func (c *chat) tell(ctx context.Context, g *guest, line string, except ...uint64) bool {
	if len(line) > c.hub.Longest() {
		c.answer(g, "* that is too long")
		return false
	}
	if c.present == nil {
		c.said = append(append(c.said, line...), '\n')
	}
	if err := c.say(ctx, []byte(line), except...); err != nil && c.closed == nil {
		c.closed = err
	}
	return true
}

// note tells a program of e, by the name that g has now.
func (c *chat) note(g *guest, e hubbub.Event) {
	if c.present != nil {
		e.Name = g.name
		c.said = c.present.append(c.said, e)
	}
}

// answer says something to g alone, and whether it is still there to be told.
func (c *chat) answer(g *guest, line string) bool {
	err := c.hub.Send([]byte(line), g.id)
	_, gone := errors.AsType[*hubbub.UnknownError](err)
	return !gone
}

const chatHelp = `* /nick NAME  be called so
* /who [NAME] who is here, or is called like that
* //TEXT      say /TEXT
* /help       this`

// obey does what g asks of the room.
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
		c.answer(g, fmt.Sprintf("* there is no %s; /help says what there is", visible.AppendLine(nil, []byte(cut(word, longestNick)))))
	}
}

func (c *chat) nick(ctx context.Context, g *guest, name string) {
	why := unfit(name)
	switch {
	case name == "":
		why = "/nick NAME: be called so"
	case why == "" && c.called.taken(name, g):
		why = name + " is somebody else"
	case name == g.name:
		why = "so you are"
	}
	if why != "" {
		c.answer(g, "* "+why)
		return
	}
	old := g.name
	c.called.enter(g, name)
	_ = c.hub.Rename(g.id, name) // it may have gone
	if c.present != nil {
		c.present.rename(g.id, name)
	}
	if !passes(g) {
		c.tell(ctx, g, fmt.Sprintf("* %s is now %s", old, name))
	}
}

// mostShown is how many guests /who shows: more than anybody reads, and nothing
// to the 1 MiB that may wait for a client.
const mostShown = 100

// who shows g who is here and called like that. Who asks a thousand times in one
// breath, and does not listen, is cut, and then nobody is waited for.
func (c *chat) who(g *guest, like string) {
	n := 0
	like = look(like)
	for _, other := range c.order {
		if !strings.Contains(other.look, like) {
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
		c.answer(g, "* nobody is called like that")
	case n > mostShown:
		c.answer(g, fmt.Sprintf("* and %d more; /who NAME shows who is called like that", n-mostShown))
	}
}
