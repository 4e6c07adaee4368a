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

	"hubbub.example"
	"hubbub.example/internal/visible"
)

// This file is a room for people (--chat): who says something is named, who comes
// and goes is announced, and what begins with / is for the room itself.
//
//	take      what clients did, in order: one goroutine, so that all see one order
//	announce  a line for everybody, and for STDOUT
//	obey      /nick, /who, /help
//
// Whatever was typed is shown to others, never obeyed by their terminals.

// chat is the room.
type chat struct {
	hub  *hubbub.Hub
	here map[uint64]*guest
	said []byte // what STDOUT is to say
}

// guest is one client in it.
type guest struct {
	id       uint64
	name     string
	addr     string
	protocol string
	since    time.Time
}

func newChat(hub *hubbub.Hub) *chat { return &chat{hub: hub, here: map[uint64]*guest{}} }

// take lets the room have what clients did, and returns what STDOUT is to say of
// it, with newlines. The error says that the room is closed.
func (c *chat) take(ctx context.Context, b *hubbub.Batch) ([]byte, error) {
	c.said = c.said[:0]
	for e := range b.Events() {
		var err error
		switch e.Kind {
		case hubbub.Join:
			err = c.join(ctx, e)
		case hubbub.Leave:
			err = c.leave(ctx, e)
		case hubbub.Message:
			err = c.hear(ctx, e)
		}
		if err != nil {
			return c.said, err
		}
	}
	return c.said, nil
}

func (c *chat) join(ctx context.Context, e hubbub.Event) error {
	g := &guest{id: e.Client, addr: e.Addr, protocol: e.Protocol, since: e.Time}
	g.name = c.free(cmp.Or(e.Name, fmt.Sprintf("guest%d", e.Client)), g)
	c.here[g.id] = g
	if g.name != e.Name {
		_ = c.hub.Rename(g.id, g.name) // it may have gone
	}
	if passes(g) {
		return nil
	}
	return c.announce(ctx, "* %s is here", g.name)
}

func (c *chat) leave(ctx context.Context, e hubbub.Event) error {
	g := c.here[e.Client]
	delete(c.here, e.Client)
	if g == nil || passes(g) {
		return nil
	}
	return c.announce(ctx, "* %s has left", g.name)
}

// passes says that g comes only to say something.
func passes(g *guest) bool { return g.protocol == "post" }

// hear takes what one says: each line of it, so that nobody can speak for others.
func (c *chat) hear(ctx context.Context, e hubbub.Event) error {
	g := c.here[e.Client]
	if g == nil {
		return nil
	}
	for line := range bytes.SplitSeq(bytes.TrimRight(e.Data, "\n"), []byte("\n")) {
		text := string(visible.Append(nil, line))
		var err error
		switch {
		case strings.TrimSpace(text) == "":
		case strings.HasPrefix(text, "/"):
			err = c.obey(ctx, g, text)
		default:
			err = c.tell(ctx, fmt.Sprintf("<%s> %s", g.name, text), g.id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// announce says something to everybody.
func (c *chat) announce(ctx context.Context, format string, args ...any) error {
	return c.tell(ctx, fmt.Sprintf(format, args...))
}

// tell says a line to everybody but some.
func (c *chat) tell(ctx context.Context, line string, except ...uint64) error {
	c.said = append(append(c.said, line...), '\n')
	return c.hub.BroadcastExcept(ctx, []byte(line), except...)
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
func (c *chat) obey(ctx context.Context, g *guest, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch rest = strings.TrimSpace(rest); word {
	case "/nick":
		return c.nick(ctx, g, rest)
	case "/who":
		for _, other := range c.inOrder() {
			c.answer(g, fmt.Sprintf("* %s, from %s (%s), since %s", other.name, other.addr, other.protocol, other.since.Format(time.TimeOnly)))
		}
	case "/help":
		c.answer(g, strings.Split(chatHelp, "\n")...)
	default:
		c.answer(g, fmt.Sprintf("* there is no %s; /help says what there is", word))
	}
	return nil
}

func (c *chat) nick(ctx context.Context, g *guest, name string) error {
	if why := c.refuses(name, g); why != "" {
		c.answer(g, "* "+why)
		return nil
	}
	old := g.name
	g.name = name
	_ = c.hub.Rename(g.id, name) // it may have gone
	return c.announce(ctx, "* %s is now %s", old, name)
}

const longestNick = 32

// refuses says why g may not be called so; "": it may.
func (c *chat) refuses(name string, g *guest) string {
	switch {
	case name == "":
		return "/nick NAME: be called so"
	case len(name) > longestNick || strings.ContainsAny(name, "<> \t*/"):
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
		if strings.ContainsRune("<> \t*/", r) {
			return '_'
		}
		return r
	}, name)
	if len(name) > longestNick || c.taken(name, g) {
		name = fmt.Sprintf("%.*s-%d", longestNick-8, strings.ToValidUTF8(name, ""), g.id)
	}
	return name
}

func (c *chat) inOrder() []*guest {
	var all []*guest
	for _, g := range c.here {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *guest) int { return cmp.Compare(a.id, b.id) })
	return all
}
