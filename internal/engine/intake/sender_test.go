//go:build unix

package intake

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
)

// reads has s send p in one read.
func (d *desk) reads(s *Sender, p string) Outcome {
	d.Batch()
	if s.Protocol().Framed() {
		return s.TookFrames(d.Writer, []byte(p))
	}
	return s.Took(d.Writer, copy(s.Space(d.Writer), p))
}

// ends returns the end of what s sends.
func (d *desk) ends(s *Sender) Outcome {
	d.Batch()
	return s.EndOfInput(d.Writer)
}

// There is one Sender for each client: its size is paid a million times.
func TestSenderIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Sender{}); n > 48 {
		t.Errorf("a Sender has %d bytes", n)
	}
}

// What a sender is stands in few bits, and none of it changes another.
func TestStandingIsKeptApart(t *testing.T) {
	for p := range codec.Protocols {
		s := NewSender(sock.Addr{}, p)
		s.Joins(7, 1<<31)
		for _, mute := range []bool{true, false, true} {
			s.Mute(mute)
			if s.Muted() != mute || s.Left() || !s.Present() || s.Protocol() != p || s.Since() != mostSince {
				t.Errorf("%s, muted %t: it is %s, muted %t, left %t, since %d", p, mute, s.Protocol(), s.Muted(), s.Left(), s.Since())
			}
		}
	}
}

// What a client said before it said too much counts, comes before its leave,
// and is all that a batch has of it, also when the leave makes the batch full.
func TestCutClientIsHeardUpToItsLongMessage(t *testing.T) {
	for _, c := range []struct {
		says, counts string
		ends         bool
	}{
		{"12345678\n", "12345678\n", false},
		{"12345678\r\n", "12345678\n", false},
		{"one\n12345678\r", "one\n", false}, // its newline may be next
		{"one\ntwo\n123456789\nthree\n", "one\ntwo\n", true},
		{"123456789\n", "", true},
		{"one\n1234567890", "one\n", true},
		{"one\r\n123456789\r\n", "one\n", true},
	} {
		for _, before := range []int{0, batchBytes - 2*ReadSize} {
			d := newDesk(t, func(c *Config) { c.Longest = 8 })
			b := d.Batch()
			b.data = append(b.data, make([]byte, before)...)
			b.records = append(b.records, Record{Kind: Join, Client: 7})
			s := sender(7, codec.ProtocolRaw)
			out := d.reads(s, c.says)
			want := []string{"7 join"}
			for line := range strings.Lines(c.counts) {
				want = append(want, "7 message "+strings.TrimSuffix(line, "\n"))
			}
			if c.ends {
				want = append(want, "7 leave sent a message longer than 8 B")
				d.Presence(Leave, s, out.End)
			} else if out.End != (ending.Reason{}) {
				t.Errorf("%q ends it with %+v", c.says, out.End)
			}
			if got, plain := d.received(); !slices.Equal(got, want) || plain[before:] != c.counts {
				t.Errorf("%q gives %q and, plain, %q, want %q", c.says, got, plain[before:], want)
			}
		}
	}
}

// A client of a raw hub cannot say too much: how much of it is read at once is
// no message's length.
func TestRawClientIsNeverTooLong(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.Framing, c.Longest = framing.Raw, 8 })
	out := d.reads(sender(7, codec.ProtocolRaw), "much more than eight")
	if _, plain := d.received(); out.End != (ending.Reason{}) || plain != "much more than eight" {
		t.Errorf("it gives %q, and ends with %+v", plain, out.End)
	}
}

// What is left at the end of input is a message, but not a part of a record.
func TestEndOfInput(t *testing.T) {
	for _, c := range []struct {
		framing framing.Framing
		says    string
		want    string
		dropped int
		long    bool
	}{
		{framing.Lines, "one\ntwo", "one\ntwo\n", 0, false},
		{framing.Lines, "one\n", "one\n", 0, false},
		{framing.Lines, "", "", 0, false},
		{framing.Lines, "one\n12345678\r", "one\n12345678\n", 0, false},
		{framing.Lines, "one\n123456789", "one\n", 0, true},
		{framing.NUL, "a\x00b", "a\x00b\x00", 0, false},
		{framing.Raw, "as it comes", "as it comes", 0, false},
		{framing.Framing(4), "1234567", "1234", 3, false},
	} {
		d := newDesk(t, func(g *Config) { g.Framing, g.Longest = c.framing, c.framing.Bound(8) })
		s := sender(1, codec.ProtocolRaw)
		d.reads(s, c.says)
		out := d.ends(s)
		if _, plain := d.received(); plain != c.want || out.Dropped != c.dropped || (out.End.Kind == proto.ReasonTooLong) != c.long {
			t.Errorf("%q gives %q and %+v", c.says, plain, out)
		}
		if s.Holds() > 0 || d.Beginnings.Used() > 0 {
			t.Errorf("%q: at the end %d bytes are held, of the quota %d", c.says, s.Holds(), d.Beginnings.Used())
		}
	}
}

// However a raw client's bytes are read, and though its state is written and
// read back between two reads, the same messages come out, and nothing is held
// at the end.
func TestRawInputComesOutWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		framing := []framing.Framing{framing.Lines, framing.NUL, framing.Raw, framing.Framing(1 + random.IntN(9))}[random.IntN(4)]
		d := newDesk(t, func(c *Config) { c.Framing, c.Longest = framing, 1<<20 })
		said := make([]byte, random.IntN(5*ReadSize))
		for i := range said {
			said[i] = "\n\x00\rabcdefghijklmnopqrstuvwxyz"[random.IntN(29)]
			if random.IntN(20) > 0 { // long ones, too
				said[i] = 'x'
			}
		}
		s, plain := sender(1, codec.ProtocolRaw), ""
		for rest := string(said); len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(ReadSize))
			if out := d.reads(s, rest[:n]); out.End != (ending.Reason{}) {
				t.Fatal(out.End)
			}
			rest = rest[n:]
			restored, err := RestoreSender(s.State(), d.Beginnings, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			s.Forget()
			s = &restored
			_, more := d.received()
			plain += more
		}
		d.ends(s)
		_, more := d.received()
		want := framing.Clean(bytes.Clone(said))
		if whole := framing.Whole(want); whole < len(want) {
			if separator := framing.Separator(); separator != nil {
				want = framing.Clean(append(want, separator...))
			} else {
				want = want[:whole]
			}
		}
		if plain += more; plain != string(want) {
			t.Fatalf("%v: %d bytes came out, want %d", framing, len(plain), len(want))
		}
		if d.Beginnings.Used() != 0 {
			t.Fatalf("%d bytes are held at the end", d.Beginnings.Used())
		}
	}
}

// masked returns a frame as a client sends it.
func masked(op ws.OpCode, fin bool, payload string) string {
	var b bytes.Buffer
	_ = ws.WriteFrame(&b, ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload)))) // a Buffer takes all
	return b.String()
}

// What a WebSocket's input asks for. Each table row is read at once, and byte
// by byte, with the state written and read back between two.
func TestFrames(t *testing.T) {
	text := func(s string) string { return masked(ws.OpText, true, s) }
	type row struct {
		what     string
		protocol codec.Protocol
		framing  framing.Framing
		in       string
		want     []string
		out      string
	}
	ws1, v1, line := codec.ProtocolWebSocket, codec.ProtocolV1, framing.Lines
	for _, c := range []row{
		{"a message", ws1, line, text("hello"), []string{"hello"}, ""},
		{"an empty one", ws1, line, text(""), []string{""}, ""},
		{"its separator does not count", ws1, line, text("hello\r\n"), []string{"hello"}, ""},
		{"two lines are one message", ws1, line, text("a\nb"), []string{"a\nb"}, ""},
		{"fragments", ws1, line, masked(ws.OpText, false, "he") + masked(ws.OpPing, true, "?") + masked(ws.OpContinuation, true, "llo"), []string{"hello"}, "pong"},
		{"too long", ws1, line, text("hello") + text(strings.Repeat("x", 101)) + text("not heard"), []string{"hello"}, "end 1009"},
		{"no record", ws1, framing.Framing(4), text("1234") + text("123"), []string{"1234"}, "end 1008"},
		{"nothing", ws1, framing.Raw, text(""), nil, ""},
		{"not masked", ws1, line, "\x81\x01a", nil, "end 1002"},
		{"a close", ws1, line, text("bye") + masked(ws.OpClose, true, "\x03\xe8") + text("not heard"), []string{"bye"}, "end 1000"},
		{"a close with a code of its own", ws1, line, masked(ws.OpClose, true, "\x0f\xa0"), nil, "end 4000"},
		{"v1", v1, line, text(`{"type":"message","text":"hi"}`), []string{"hi"}, ""},
		{"v1 in bytes", v1, line, masked(ws.OpBinary, true, `{}`), nil, "end 1002"},
		{"v1 unknown", v1, line, text(`{"type":"what"}`) + text(`{"type":"heartbeat"}`), nil, ""},
		{"v1 numbers", v1, line, text(`{"type":"message","n":1,"text":"a"}`) + text(`{"type":"message","n":1,"text":"a"}`) + text(`{"type":"message","n":2,"text":"b"}`), []string{"a", "b"}, "ack 2"},
		{"v1 any first number", v1, line, text(`{"type":"message","n":7,"text":"a"}`), []string{"a"}, "ack 7"},
		{"v1 a gap", v1, line, text(`{"type":"message","n":1,"text":"a"}`) + text(`{"type":"message","n":3,"text":"b"}`), []string{"a"}, "ack 1, end 1002"},
		{"v1 the end", v1, line, text(`{"type":"message","text":"a"}`) + text(`{"type":"end"}`), []string{"a"}, "finish"},
		{"v1 after the end", v1, line, text(`{"type":"end"}`) + text(`{"type":"message","text":"a"}`), nil, "finish, end 1002"},
		{"v1 too long", v1, line, text(`{"type":"message","text":"` + strings.Repeat("x", 101) + `"}`), nil, "end 1009"},
		{"v1 far too long", v1, line, text(`{"type":"message","text":"` + strings.Repeat("x", 3000) + `"}`), nil, "end 1009"},
		{"v1 no JSON", v1, line, text(`hello`), nil, "end 1002"},
	} {
		for _, size := range []int{len(c.in), 1} {
			d := newDesk(t, func(g *Config) { g.Framing, g.Longest = c.framing, c.framing.Bound(100) })
			s := sender(1, c.protocol)
			var did asked
			for p := c.in; len(p) > 0 && did.end == 0; p = p[size:] {
				out := d.reads(s, p[:size])
				if did.add(out); did.end == proto.CloseTooBig && out.End != ending.TooLong(100) {
					t.Errorf("%s: it ends because it %s", c.what, out.End.Text)
				}
				restored, err := RestoreSender(s.State(), d.Beginnings, nil, 0)
				if err != nil {
					t.Fatal(err)
				}
				s.Forget()
				s = &restored
			}
			var want []string
			for _, m := range c.want {
				want = append(want, "1 message "+m)
			}
			if got, _ := d.received(); !slices.Equal(got, want) || did.String() != c.out {
				t.Errorf("%s, %d bytes a read: %q and %q, want %q and %q", c.what, size, got, did.String(), want, c.out)
			}
			if s.Forget(); d.Beginnings.Used() != 0 {
				t.Errorf("%s: %d bytes are held at the end", c.what, d.Beginnings.Used())
			}
		}
	}
}

// asked is what outcomes asked for, all together.
type asked struct {
	pong, finish bool
	ack          uint64
	end          proto.CloseCode
}

func (a *asked) add(out Outcome) {
	a.pong = a.pong || out.Pong != nil
	a.finish = a.finish || out.Finish
	a.ack = max(a.ack, out.Ack)
	if out.End != (ending.Reason{}) {
		a.end = out.End.CloseCode()
	}
}

func (a *asked) String() string {
	var all []string
	if a.pong {
		all = append(all, "pong")
	}
	if a.ack > 0 {
		all = append(all, fmt.Sprint("ack ", a.ack))
	}
	if a.finish {
		all = append(all, "finish")
	}
	if a.end != 0 {
		all = append(all, fmt.Sprint("end ", uint16(a.end)))
	}
	return strings.Join(all, ", ")
}

// Nothing is heard of a muted client, and what it began to say does not stay.
func TestMutedSenderIsNotHeard(t *testing.T) {
	d := newDesk(t)
	for _, s := range []*Sender{sender(1, codec.ProtocolRaw), sender(2, codec.ProtocolWebSocket)} {
		says := func(what string) string {
			if s.Protocol().Framed() {
				return masked(ws.OpText, true, what)
			}
			return what + "\n"
		}
		s.Mute(true)
		d.reads(s, says("one"))
		s.Mute(false)
		d.reads(s, says("two"))
		want := []string{fmt.Sprintf("%d message two", s.ID())}
		if got, _ := d.received(); !slices.Equal(got, want) || s.Messages() != 1 {
			t.Errorf("%s: it gives %q, and counts %d", s.Protocol(), got, s.Messages())
		}
	}
}

// A sender that nothing is to be known of has no rare part.
func TestRarePartGoes(t *testing.T) {
	d := newDesk(t)
	s := sender(1, codec.ProtocolRaw)
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"it began a message", func() { d.reads(s, "begun") }},
		{"it has a name", func() { s.Rename("ann") }},
	} {
		if step.do(); s.rare == nil {
			t.Errorf("%s, and that is forgotten", step.what)
		}
	}
	d.reads(s, " and ended\n")
	if s.Rename(""); s.rare != nil {
		t.Errorf("it keeps %+v", s.rare)
	}
}

// All that a sender is stands in its state; one of another version is refused.
func TestSenderStateIsWhole(t *testing.T) {
	beginnings, sessions := quota.New(100), NewSessions(10)
	addr := sock.AddrFrom(netip.MustParseAddrPort("[fe80::1%3]:99"))
	s := NewSender(addr, codec.ProtocolV1)
	s.Joins(7, 99)
	s.Rename("\xffann")
	s.Mute(true)
	s.messages = 5
	s.more().partial = []byte("begun")
	s.rare.frames = &codec.Frames{}
	s.rare.ended = true
	x, _ := sessions.Claim("token", 3)
	x.last = 12
	s.Continue(x)
	got, err := RestoreSender(s.State(), beginnings, NewSessions(10), 3)
	if err != nil {
		t.Fatal(err)
	}
	if beginnings.Used() != 5 {
		t.Errorf("of the quota %d are used, want 5", beginnings.Used())
	}
	if string(got.State()) != string(s.State()) || got.Addr() != addr || got.Name() != "\xffann" || got.Session().Last() != 12 {
		t.Errorf("it is restored as %s, was %s", got.State(), s.State())
	}
	other := bytes.Replace(s.State(), []byte(`"Version":1`), []byte(`"Version":2`), 1)
	if _, err := RestoreSender(other, beginnings, sessions, 3); err == nil {
		t.Error("a state of another version is accepted")
	}
}
