//go:build unix

package hubbub_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

// sends sends to these clients.
func (s *stage) sends(message string, to ...uint64) {
	s.t.Helper()
	if err := s.Send([]byte(message), to...); err != nil {
		s.t.Fatal(err)
	}
}

// A message to one client stands where it was sent among the broadcasts, and
// nobody else gets it: whatever it speaks, and however fast they come.
func TestPrivateMessagesKeepTheirPlace(t *testing.T) {
	const n = 2000
	for _, loops := range []int{1, 3} {
		t.Run(fmt.Sprint(loops, " loops"), func(t *testing.T) {
			t.Parallel()
			s := openAny(t, hubbub.Options{Loops: loops})
			all := s.everyKind()
			wants := make([][]string, len(all))
			wait := begins(func() error {
				for i := range n {
					to := all[i%len(all)]
					if err := s.Send(fmt.Appendf(nil, "private %d", i), to.id); err != nil {
						return err
					}
					if i%3 == 0 { // more than one in a row, too
						if err := s.Broadcast(t.Context(), fmt.Appendf(nil, "public %d", i)); err != nil {
							return err
						}
					}
				}
				return nil
			})
			for i := range n {
				wants[i%len(all)] = append(wants[i%len(all)], fmt.Sprint("private ", i))
				if i%3 == 0 {
					for k := range all {
						wants[k] = append(wants[k], fmt.Sprint("public ", i))
					}
				}
			}
			for i, p := range all {
				p.hearsAll(wants[i]...)
			}
			if err := wait(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPrivateMessageIsWhole(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		s := openAny(t, hubbub.Options{MaxMessage: 1 << 20, Backlog: 16 << 20})
		long := strings.Repeat("x", 1<<20)
		s.says(long)
		p := s.party(kind)
		s.sends("one", p.id)
		s.says(long)
		p.hearsAll(long, "one", long)
	})
}

func TestPrivateMessageToMany(t *testing.T) {
	s := openAny(t, hubbub.Options{})
	all := s.everyKind()
	s.sends("some", all[0].id, all[2].id, all[4].id)
	s.says("all")
	for i, p := range all {
		if i%2 == 0 {
			p.hearsAll("some")
		}
		p.hearsAll("all")
	}
}

// What a form cannot carry arrives as documented.
func TestPrivateMessageOfBytes(t *testing.T) {
	s := openAny(t, hubbub.Options{})
	plain, v, events := s.socket("/"), s.party("hubbub.v1"), s.party("sse")
	id := events.id - 2
	s.sends("\xff", id, id+1)
	s.sends("a\rb", events.id)
	if op, p := plain.next(); op != ws.OpBinary || string(p) != "\xff" {
		t.Errorf("a WebSocket got %d %q", op, p)
	}
	if got := v.next(); got != "" { // in base64
		t.Errorf("hubbub.v1 got %q", got)
	}
	if e := events.event(); e.data != "a\nb" || e.id != "" {
		t.Errorf("an event is %+v", e)
	}
}

func TestUnknownIDsAreNamed(t *testing.T) {
	s := open(t, hubbub.Options{})
	c := s.client()
	var unknown *hubbub.UnknownError
	if err := s.Send([]byte("hello"), 7, 1, 9); !errors.As(err, &unknown) || !slices.Equal(unknown.IDs, []uint64{7, 9}) {
		t.Errorf("Send says %v", err)
	}
	c.Hears("hello\n") // all the same
	c.Reset()
	s.leaves(1)
	for name, err := range map[string]error{
		"Send": s.Send([]byte("x"), 1), "Kick": s.Kick(1, ""), "Mute": s.Mute(1, true), "Rename": s.Rename(1, "ann"),
	} {
		if !errors.As(err, &unknown) || err.Error() != "there is no client 1" {
			t.Errorf("%s says %v", name, err)
		}
	}
}

func TestPrivateMessageMustFit(t *testing.T) {
	s := open(t, hubbub.Options{MaxMessage: 10})
	c := s.client()
	if err := s.Send([]byte("12345678901"), 1); err == nil || !strings.Contains(err.Error(), "longer than the longest allowed, 10") {
		t.Errorf("Send says %v", err)
	}
	s.sends("1234567890", 1)
	c.Hears("1234567890\n")
}

// A client that does not take what it alone is sent is cut when that is a
// mebibyte; whoever sends to it never waits, and others get theirs.
func TestTooManyPrivateMessagesCut(t *testing.T) {
	for _, slow := range []hubbub.Slow{hubbub.SlowWait, hubbub.SlowCut} {
		t.Run(slow.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t, hubbub.Options{Slow: slow})
			stuck, other := s.narrowClient(), s.client()
			line := strings.Repeat("x", 64<<10)
			scene.Until(t, "it is cut", func() bool { return s.Send([]byte(line), 1) != nil })
			if reason := s.leaves(1); !strings.HasPrefix(reason, "takes no private messages (") {
				t.Errorf("it leaves because it %s", reason)
			}
			s.sends("hello", 2)
			other.Hears("hello\n")
			n, _ := io.Copy(io.Discard, stuck.R)
			if n == 0 || n > 4<<20 {
				t.Errorf("it got %d bytes", n)
			}
		})
	}
}

// With Skip the oldest are dropped, and that is said. Each message that comes is
// whole, and in order.
func TestTooManyPrivateMessagesAreDropped(t *testing.T) {
	const n = 200
	s := open(t, hubbub.Options{Slow: hubbub.SlowSkip})
	stuck := s.narrowClient()
	for i := range n {
		s.sends(string(numbered(i, 64<<10)), 1)
	}
	s.sends("the last", 1)
	s.logs("takes no private messages")
	last, got := -1, 0
	for {
		line, err := stuck.R.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "the last\n" {
			break
		}
		var i int
		if _, err := fmt.Sscanf(line, "%d", &i); err != nil || i <= last || line != string(numbered(i, 64<<10))+"\n" {
			t.Fatalf("after message %d comes %s", last, scene.Brief(line))
		}
		last, got = i, got+1
	}
	if last != n-1 || got == n {
		t.Errorf("it got %d messages, the last is %d", got, last)
	}
	s.logs(fmt.Sprintf("client 1 has lost %d messages that it alone was sent", n-got))
}

// All together wait for at most the backlog: the one for whom most waits is cut, or
// loses its oldest, not the one who is sent the byte that is too much. Each may be
// another loop's.
func TestPrivateMessagesAreBoundedTogether(t *testing.T) {
	const size = 16 << 10
	for _, slow := range []hubbub.Slow{hubbub.SlowWait, hubbub.SlowSkip} {
		for _, loops := range []int{1, 3} {
			t.Run(fmt.Sprint(slow, " ", loops), func(t *testing.T) {
				t.Parallel()
				s := open(t, hubbub.Options{Backlog: 1 << 20, Loops: loops, Slow: slow})
				stalled, stuck := s.narrowClient(), s.narrowClient()
				for i := range 60 { // less than all may have
					s.sends(string(numbered(i, size)), 1)
				}
				n := 0
				scene.Until(t, "it is too much", func() bool {
					s.sends(string(numbered(n, size)), 2)
					n++
					for range 2 { // the loops have seen to it, else more would be on its way
						s.Clients()
					}
					return slices.ContainsFunc(s.log.All(), func(line string) bool { return strings.Contains(line, "all that does fills the backlog") })
				})
				if n >= 60 {
					t.Fatalf("it was too much after %d", n)
				}
				s.logs("client 1 ")
				s.sends("the last", 2)
				for i := range n {
					stuck.Hears(string(numbered(i, size)) + "\n")
				}
				stuck.Hears("the last\n")
				if slow == hubbub.SlowSkip {
					s.sends("the last", 1)
					for line := ""; line != "the last\n"; {
						var err error
						if line, err = stalled.R.ReadString('\n'); err != nil {
							t.Fatal(err)
						}
					}
					s.logs("client 1 has lost")
					s.has(2)
					return
				}
				if reason := s.leaves(1); !strings.HasPrefix(reason, "takes no private messages (") {
					t.Errorf("it leaves because it %s", reason)
				}
				s.has(1)
			})
		}
	}
}

// Who is kicked gets what it was sent before, is told why, and is not heard any
// more.
func TestKick(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		s := openAny(t, hubbub.Options{})
		p := s.party(kind)
		s.says("one")
		s.sends("two", p.id)
		if err := s.Kick(p.id, "enough"); err != nil {
			t.Fatal(err)
		}
		s.says("three")
		p.hearsAll("one", "two")
		switch kind {
		case "websocket", "hubbub.v1":
			if reason := (&socket{p.peer, s}).hearsClose(1008); reason != "kicked: enough" {
				t.Errorf("it is told %q", reason)
			}
		default:
			p.HearsEnd()
		}
		if reason := s.leaves(p.id); reason != "kicked: enough" || !s.isCut(p.id) {
			t.Errorf("it leaves because %s", reason)
		}
	})
}

func TestKickOfOneThatTakesNothing(t *testing.T) {
	s := open(t, hubbub.Options{})
	stuck := s.narrowClient()
	line := strings.Repeat("x", 64<<10)
	for range 100 {
		s.says(line)
	}
	if err := s.Kick(1, ""); err != nil {
		t.Fatal(err)
	}
	if reason := s.leaves(1); reason != "kicked" {
		t.Errorf("it leaves because %s", reason)
	}
	if n, _ := io.Copy(io.Discard, stuck.R); n >= 100*int64(len(line)) {
		t.Error("it was waited for")
	}
}

func TestMute(t *testing.T) {
	for _, kind := range []string{"raw", "websocket", "hubbub.v1"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := openAny(t, hubbub.Options{})
			p := s.party(kind)
			for i, mute := range []bool{false, true, false} {
				if err := s.Mute(p.id, mute); err != nil {
					t.Fatal(err)
				}
				s.sends("go on", p.id) // it is muted by then
				p.hearsAll("go on")
				if got := s.listed().Clients[0].Muted; got != mute {
					t.Errorf("/clients says that it is muted: %v, want %v", got, mute)
				}
				p.say(fmt.Sprint("word ", i))
				scene.Until(t, "it is heard", func() bool { return s.listed().Clients[0].In.Bytes > int64(i*8) })
			}
			s.hears("1 word 0", "1 word 2")
		})
	}
}

func TestRename(t *testing.T) {
	s := openAny(t, hubbub.Options{})
	p := s.party("raw")
	for i, name := range []string{"ann", "bob", ""} {
		if err := s.Rename(p.id, name); err != nil {
			t.Fatal(err)
		}
		s.sends("go on", p.id)
		p.hearsAll("go on")
		p.say("hello")
		all := s.events.When(t, "it says so", func(all []hubbub.Event) bool { return len(texts(all)) == i+1 })
		if got := all[len(all)-1].Name; got != name {
			t.Errorf("it is called %q, want %q", got, name)
		}
		if got := s.listed().Clients[0].Name; got != name {
			t.Errorf("/clients calls it %q, want %q", got, name)
		}
	}
}

// A program cannot give a client a name that the client could not choose: other
// people read it beside their own.
func TestRenameKeepsTheRuleForNames(t *testing.T) {
	s := openAny(t, hubbub.Options{})
	p := s.party("raw")
	for _, name := range []string{"a\nb", "\x1b[2J", "ann\u202enna", "\u200dann", "\xff", strings.Repeat("a", 65)} {
		if err := s.Rename(p.id, name); err == nil || !strings.Contains(err.Error(), "must be 1 to 64 bytes") {
			t.Errorf("Rename to %q says %v", name, err)
		}
	}
	if got := s.listed().Clients[0].Name; got != "" {
		t.Errorf("it is called %q", got)
	}
}

// What was said before keeps the name that its speaker had then: in the inbox, and
// for who asks for the past.
func TestRenameLeavesThePast(t *testing.T) {
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{}))
	c := s.raw()
	names := []string{"ann", "bob", "", "ann"}
	for i, name := range names {
		if err := s.Rename(1, name); err != nil {
			t.Fatal(err)
		}
		s.sends("go on", 1) // it is called so by then
		c.Hears("go on\n")
		c.Says(fmt.Sprint(i, "\n"))
		scene.Until(t, "it is said", func() bool { return s.Stats().MessagesIn == int64(i+1) })
	}
	s.relay()
	all := s.events.When(t, "all is heard", func(all []hubbub.Event) bool { return len(texts(all)) == len(names) })
	late, _ := s.v1("/?last=100")
	for i, e := range slices.DeleteFunc(slices.Clone(all), func(e hubbub.Event) bool { return e.Kind != hubbub.Message }) {
		if e.Name != names[i] {
			t.Errorf("message %d is %q's, want %q", i, e.Name, names[i])
		}
		if o := late.object("message"); o.Name != names[i] || o.Text != fmt.Sprint(i) {
			t.Errorf("message %d is %+v later, want %q", i, o, names[i])
		}
	}
}

// Private messages to clients that have left, or leave meanwhile, cost nothing.
func TestPrivateMessagesToWhoGoes(t *testing.T) {
	s := open(t, hubbub.Options{Backlog: 1 << 20})
	stay := s.client()
	for range 20 {
		c := s.client()
		id := s.newest()
		sending := begins(func() error {
			for range 2000 {
				if s.Send([]byte("a message of some length, for a client that may have left"), id) != nil {
					return nil
				}
			}
			return nil
		})
		c.Reset()
		if err := sending(); err != nil {
			t.Fatal(err)
		}
	}
	s.has(1)
	s.sends("still here", 1)
	stay.Hears("still here\n")
}

// A private message that comes after the end of its client is not waited for, nor does
// a loop look for it again and again.
func TestPrivateMessageBehindTheEnd(t *testing.T) {
	s := open(t, hubbub.Options{Loops: 1})
	all := s.clients(20)
	ids := make([]uint64, len(all))
	for i := range ids {
		ids[i] = uint64(i + 1)
	}
	for i := range all {
		if i%2 == 0 {
			if err := s.Kick(ids[i], ""); err != nil {
				t.Fatal(err)
			}
		}
		s.says("one was kicked")
		if err := s.Send([]byte("to all who are there"), ids...); err != nil && !errors.As(err, new(*hubbub.UnknownError)) {
			t.Fatal(err)
		}
	}
	for i, c := range all {
		if i%2 == 0 {
			_, _ = io.Copy(io.Discard, c.R)
			_ = c.Close()
		}
	}
	s.has(len(all) / 2)
}

// The longest message there may be is no reason to cut anybody.
func TestOneLongPrivateMessage(t *testing.T) {
	eachKind(t, func(t *testing.T, kind string) {
		s := openAny(t, hubbub.Options{MaxMessage: 2 << 20, Backlog: 64 << 20})
		p := s.party(kind)
		long := strings.Repeat("x", 2<<20)
		s.sends(long, p.id)
		s.sends("short", p.id)
		p.hearsAll(long, "short")
	})
}

// Kick ends also who stops reading just then.
func TestKickOfOneThatStops(t *testing.T) {
	s := open(t, hubbub.Options{})
	stuck := s.narrowClient()
	s.sends(strings.Repeat("x", 900<<10), 1)
	if err := s.Kick(1, ""); err != nil {
		t.Fatal(err)
	}
	if reason := s.leaves(1); reason != "kicked" {
		t.Errorf("it leaves because %s", reason)
	}
	s.has(0)
	_ = stuck.Close()
}

// Kick ends also who takes no more, and whose last words the inbox has yet to
// take: they are not heard.
func TestKickOfOneWhoseConnectionIsBroken(t *testing.T) {
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{Loops: 1})
	gone, flood := s.client(), s.client()
	s.fillInbox(flood)
	gone.Says("unread\n")
	s.breaks(gone)
	s.kicks(1, "enough")
	s.has(2)
	s.take()
	if reason := s.leaves(1); reason != "kicked: enough" || !s.isCut(1) {
		t.Errorf("it leaves because it is %q", reason)
	}
	for _, line := range texts(s.events.All()) {
		if strings.HasPrefix(line, "1 ") {
			t.Errorf("it is heard: %q", line)
		}
	}
}

// What waits for one that takes no more is in nobody's way.
func TestPrivateMessagesToWhomIsBroken(t *testing.T) {
	const each, size = 60, 16 << 10 // less than all may have
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{Loops: 1, Backlog: 1 << 20})
	gone, stuck, flood := s.narrowClient(), s.narrowClient(), s.client()
	s.fillInbox(flood)
	for i := range each {
		s.sends(string(numbered(i, size)), 1)
	}
	gone.Says("unread\n")
	s.breaks(gone)
	for i := range each {
		s.sends(string(numbered(i, size)), 2)
	}
	stuck.Hears("one\ntwo\n")
	for i := range each {
		stuck.Hears(string(numbered(i, size)) + "\n")
	}
}

// fillInbox has p talk until the hub reads no more.
func (s *stage) fillInbox(p *peer) {
	s.t.Helper()
	flooding := begins(func() error {
		for {
			if _, err := io.WriteString(p, strings.Repeat("x", 9999)+"\n"); err != nil {
				return nil // it is over
			}
		}
	})
	s.t.Cleanup(func() { _ = p.Close(); _ = flooding() })
	s.readsNoMore()
}

// breaks resets p's connection while what it said waits to be read, and has the
// hub find out.
func (s *stage) breaks(p *peer) {
	s.t.Helper()
	scene.Until(s.t, "it has said that", func() bool { return p.unacked() == 0 })
	p.Reset()
	other := s.client()
	for _, line := range []string{"one", "two"} { // each is sent to all before the next
		s.says(line)
		other.Hears(line + "\n")
	}
}
