//go:build unix

package hubbub_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"hubbub.example"
)

// openRelay opens a hub that relays what clients say, and keeps it.
func openRelay(t *testing.T, o hubbub.Options) *stage {
	t.Helper()
	s := openUntaken(t, "127.0.0.1:0", unhurried(o))
	s.relay()
	return s
}

// relay relays what clients say from now on.
func (s *stage) relay() {
	go func() {
		for {
			b, err := s.Receive(context.Background())
			if err != nil {
				return
			}
			if err := s.Relay(context.Background(), b); err != nil {
				b.Release()
				return
			}
			for e := range b.Events() {
				e.Data = slices.Clone(e.Data)
				s.events.Add(e)
			}
			b.Release()
		}
	}()
}

// What one says all others get, whatever they speak, and it does not.
func TestRelayReachesAllOthers(t *testing.T) {
	s := openRelay(t, hubbub.Options{})
	all := s.everyKind()
	for i, p := range all {
		if p.say != nil {
			p.say(fmt.Sprint("from ", i))
		}
		s.events.When(t, "it is heard", func(all []hubbub.Event) bool { return p.say == nil || len(texts(all)) > 0 })
	}
	s.events.When(t, "all are heard", func(all []hubbub.Event) bool { return len(texts(all)) == 3 })
	s.says("from the source")
	for i, p := range all {
		var want []string
		for _, line := range texts(s.events.All()) {
			if id, line, _ := strings.Cut(line, " "); id != fmt.Sprint(all[i].id) {
				want = append(want, line)
			}
		}
		p.hearsAll(append(want, "from the source")...)
	}
}

// Many who talk at once, while the source does: everybody, the inbox included,
// has it all in the same order, but for what he said himself.
func TestRelayIsInOneOrder(t *testing.T) {
	const each, broadcasts = 300, 500
	s := openRelay(t, hubbub.Options{Loops: 3})
	all := append(s.everyKind(), s.everyKind()...)
	talks := begins(func() error {
		return together(len(all)+1, func(i int) error {
			if i == len(all) {
				for n := range broadcasts {
					if err := s.Broadcast(context.Background(), fmt.Appendf(nil, "source %d", n)); err != nil {
						return err
					}
				}
				return nil
			}
			if all[i].say != nil {
				for n := range each {
					all[i].say(fmt.Sprint(all[i].id, " says ", n))
				}
			}
			return nil
		})
	})
	talkers := 0
	for _, p := range all {
		if p.say != nil {
			talkers++
		}
	}
	heard := make([][]string, len(all))
	for i, p := range all { // all of it waits for them
		n := talkers*each + broadcasts
		if p.say != nil {
			n -= each
		}
		for range n {
			heard[i] = append(heard[i], p.next())
		}
	}
	if err := talks(); err != nil {
		t.Fatal(err)
	}
	// One who said nothing got all of it.
	order := heard[slices.IndexFunc(all, func(p *party) bool { return p.say == nil })]
	for i, p := range all {
		want := slices.DeleteFunc(slices.Clone(order), func(line string) bool {
			return p.say != nil && strings.HasPrefix(line, fmt.Sprint(p.id, " says "))
		})
		if !slices.Equal(heard[i], want) {
			t.Errorf("%s %d has another order", p.kind, p.id)
		}
	}
	said := slices.DeleteFunc(slices.Clone(order), func(line string) bool { return strings.HasPrefix(line, "source ") })
	var inbox []string
	for _, e := range s.events.All() {
		if e.Kind == hubbub.Message {
			inbox = append(inbox, string(e.Data))
		}
	}
	if !slices.Equal(inbox, said) {
		t.Error("the inbox has another order")
	}
}

func TestRelaySaysWho(t *testing.T) {
	s := openRelay(t, hubbub.Options{})
	listener, _ := s.v1("/")
	talker := s.socket("/?name=ann")
	talker.Says(text("hello"))
	if o := listener.object("message"); o.Text != "hello" || o.ID != 2 || o.Name != "ann" || o.Seq != 1 {
		t.Errorf("%+v", o)
	}
	s.says("source")
	if o := listener.object("message"); o.ID != 0 || o.Name != "" || o.Seq != 2 {
		t.Errorf("%+v", o)
	}
	// The past says so too, encoded later.
	late, _ := s.v1("/?last=2")
	if o := late.object("message"); o.ID != 2 || o.Name != "ann" {
		t.Errorf("%+v", o)
	}
}

// A message with newlines in it is one where messages are whole, and several
// lines for raw clients.
func TestRelayKeepsAMessageWhole(t *testing.T) {
	s := openRelay(t, hubbub.Options{})
	raw, socket, talker := s.party("raw"), s.party("websocket"), s.party("websocket")
	talker.say("one\ntwo")
	talker.say("three")
	raw.hearsAll("one", "two", "three")
	socket.hearsAll("one\ntwo", "three")
}

// More than the backlog, in long messages, with a listener that takes its time:
// nothing is lost.
func TestRelayIsPaced(t *testing.T) {
	const n, size = 400, 4 << 10
	s := openRelay(t, hubbub.Options{Backlog: 256 << 10})
	slow, talker := s.party("raw"), s.party("raw")
	talks := begins(func() error {
		for i := range n {
			talker.say(string(numbered(i, size)))
		}
		return nil
	})
	for i := range n {
		slow.hearsAll(string(numbered(i, size)))
	}
	if err := talks(); err != nil {
		t.Fatal(err)
	}
}

func TestBroadcastExcept(t *testing.T) {
	s := openAny(t, hubbub.Options{})
	all := s.everyKind()
	for i, p := range all {
		if err := s.BroadcastExcept(t.Context(), fmt.Appendf(nil, "not to %d", i), p.id, 99); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.BroadcastExcept(t.Context(), []byte("to the last"), all[0].id, all[1].id, all[2].id, all[3].id); err != nil {
		t.Fatal(err)
	}
	s.says("all")
	for i, p := range all {
		for k := range all {
			if k != i {
				p.hearsAll(fmt.Sprint("not to ", k))
			}
		}
		if i == len(all)-1 {
			p.hearsAll("to the last")
		}
		p.hearsAll("all")
	}
}

// A client that counts is told of what it does not get, so that it misses
// nothing, and does not ask for it again.
func TestRelayTellsWhoCounts(t *testing.T) {
	s := openRelay(t, hubbub.Options{})
	talker, hello := s.v1("/")
	talker.Says(text(said(0, "one")))
	if o := talker.object("passed"); o.Seq != 1 {
		t.Errorf("%+v", o)
	}
	talker.Says(text(said(0, "two")) + text(said(0, "three")))
	for last := uint64(1); last < 3; {
		o := talker.object("passed")
		if o.Seq <= last {
			t.Fatalf("%+v after %d", o, last)
		}
		last = o.Seq
	}
	s.says("four")
	if o := talker.object("message"); o.Seq != 4 || o.Text != "four" {
		t.Errorf("%+v", o)
	}
	again, _ := s.v1("/?since=" + point(hello.Epoch, 3))
	if o := again.object("message"); o.Seq != 4 {
		t.Errorf("%+v", o)
	}
}

// Also who lags behind what the canonical feed keeps does not get what is not
// for it: each form's feed keeps its own part of the backlog.
func TestBroadcastExceptWhoLags(t *testing.T) {
	const n = 20_000
	s := openAny(t, hubbub.Options{Backlog: 256 << 10})
	slow := s.party("websocket")
	saying := begins(func() error {
		for i := range n {
			err := s.BroadcastExcept(context.Background(), fmt.Appendf(nil, "secret %d", i), slow.id)
			if err == nil {
				err = s.Broadcast(context.Background(), fmt.Appendf(nil, "public %d", i))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	for i := range n {
		slow.hearsAll(fmt.Sprint("public ", i))
	}
	if err := saying(); err != nil {
		t.Fatal(err)
	}
}

// Lines as short as can be, which are long for hubbub.v1, do not come in larger
// pieces than the backlog has room for.
func TestRelayOfEmptyLinesIsBounded(t *testing.T) {
	const backlog = 64 << 10
	s := openRelay(t, hubbub.Options{Backlog: backlog, Loops: 1, Patience: time.Minute})
	talker := s.raw()
	s.v1("/") // which reads nothing
	talks := begins(func() error {
		_, err := io.WriteString(talker, strings.Repeat("\n", 4*backlog))
		return err
	})
	s.isHeld(1)
	if _, lag := s.Slowest(); lag > backlog {
		t.Errorf("a client is %d bytes behind, the backlog has %d", lag, backlog)
	}
	_ = talks()
}
