//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"hubbub.example"
	"hubbub.example/internal/codec"
	"hubbub.example/internal/visible"
)

// This file is a room for people (--chat): who says something is named, who comes
// and goes is announced, and what begins with / is for the room itself.
//
//	take      what clients did, in order: one goroutine, so that all see one order
//	tell      a line for everybody, and for STDOUT
//	obey      /nick, /who, /help
//
// Whatever was typed is shown to others, never obeyed by their terminals.

// chat is the room.
type chat struct {
	hub    *hubbub.Hub
	here   map[uint64]*guest
	said   []byte // what STDOUT is to say
	closed error  // why nobody hears anything any more
}

// guest is one client in it.
type guest struct {
	id       uint64
	name     string
	protocol string
	since    time.Time
}

func newChat(hub *hubbub.Hub) *chat { return &chat{hub: hub, here: map[uint64]*guest{}} }

// take lets the room have what clients did, and returns what STDOUT is to say of
// it, with newlines: all of it, also when the error says that clients hear no more.
func (c *chat) take(ctx context.Context, b *hubbub.Batch) ([]byte, error) {
	c.said = c.said[:0]
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
	g.name = c.free(cmp.Or(e.Name, fmt.Sprintf("guest%d", e.Client)), g)
	c.here[g.id] = g
	if g.name != e.Name {
		_ = c.hub.Rename(g.id, g.name) // it may have gone
	}
	if !passes(g) {
		c.tell(ctx, g, fmt.Sprintf("* %s is here", g.name))
	}
}

func (c *chat) leave(ctx context.Context, e hubbub.Event) {
	g := c.here[e.Client]
	delete(c.here, e.Client)
	if g != nil && !passes(g) {
		c.tell(ctx, g, fmt.Sprintf("* %s has left", g.name))
	}
}

// passes says that g comes only to say something.
func passes(g *guest) bool { return g.protocol == "post" }

// hear takes what one says: each line of it, so that nobody can speak for others.
func (c *chat) hear(ctx context.Context, e hubbub.Event) {
	g := c.here[e.Client]
	if g == nil {
		return
	}
	for line := range bytes.SplitSeq(bytes.TrimRight(e.Data, "\n"), []byte("\n")) {
		text := string(visible.Append(nil, line))
		switch {
		case strings.TrimSpace(text) == "":
		case strings.HasPrefix(text, "/"):
			c.obey(ctx, g, text)
		default:
			c.tell(ctx, g, fmt.Sprintf("<%s> %s", g.name, text), g.id)
		}
	}
}

// tell says a line to everybody but some, and to STDOUT. It is g's doing: who is
// told if it is too long.
func (c *chat) tell(ctx context.Context, g *guest, line string, except ...uint64) {
	if len(line) > c.hub.Longest() {
		c.answer(g, "* that is too long")
		return
	}
	c.said = append(append(c.said, line...), '\n')
	if len(c.here) == 0 { // it would be kept for whoever comes next
		return
	}
	if err := c.hub.BroadcastExcept(ctx, []byte(line), except...); err != nil && c.closed == nil {
		c.closed = err
	}
}

// answer says something to g alone.
func (c *chat) answer(g *guest, lines ...string) {
	for _, line := range lines {
		_ = c.hub.Send([]byte(line), g.id) // it may have gone
	}
}

const chatHelp = `* /nick NAME  be called so
* /who        who is here
* /help       this`

// obey does what g asks of the room.
func (c *chat) obey(ctx context.Context, g *guest, line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch rest = strings.TrimSpace(rest); word {
	case "/nick":
		c.nick(ctx, g, rest)
	case "/who":
		for _, other := range c.inOrder() {
			c.answer(g, fmt.Sprintf("* %s (%s), since %s", other.name, other.protocol, other.since.Format(time.TimeOnly)))
		}
	case "/help":
		c.answer(g, strings.Split(chatHelp, "\n")...)
	default:
		c.answer(g, fmt.Sprintf("* there is no %s; /help says what there is", word))
	}
}

func (c *chat) nick(ctx context.Context, g *guest, name string) {
	if why := c.refuses(name, g); why != "" {
		c.answer(g, "* "+why)
		return
	}
	old := g.name
	g.name = name
	_ = c.hub.Rename(g.id, name) // it may have gone
	c.tell(ctx, g, fmt.Sprintf("* %s is now %s", old, name))
}

const longestNick = 32

// unfit says that a name must not have r: it would look like what the room says.
func unfit(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("<>*/", r) }

// refuses says why g may not be called so; "": it may.
func (c *chat) refuses(name string, g *guest) string {
	clean, err := codec.ParseName(name)
	switch {
	case name == "":
		return "/nick NAME: be called so"
	case err != nil, clean != name, len(name) > longestNick, strings.ContainsFunc(name, unfit):
		return fmt.Sprintf("a name has at most %d bytes, and no space, <, >, * or /", longestNick)
	case c.taken(name, g):
		return name + " is somebody else"
	}
	return ""
}

func (c *chat) taken(name string, g *guest) bool {
	for _, other := range c.here {
		if other != g && strings.EqualFold(other.name, name) {
			return true
		}
	}
	return false
}

// free is name, or one like it that nobody has.
func (c *chat) free(name string, g *guest) string {
	name = strings.Map(func(r rune) rune {
		if unfit(r) {
			return '_'
		}
		return r
	}, name)
	const number = 11 // bytes, behind the name
	if len(name) > longestNick-number {
		name = strings.ToValidUTF8(name[:longestNick-number], "")
	}
	for n, free := g.id, name; ; n++ {
		if !c.taken(free, g) {
			return free
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
}

func (c *chat) inOrder() []*guest {
	var all []*guest
	for _, g := range c.here {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *guest) int { return cmp.Compare(a.id, b.id) })
	return all
}
