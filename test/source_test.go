//go:build unix

package hubbub_test

// Where broadcasts come from: Broadcast and BroadcastFrom, and what they say
// when something is wrong.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

// What cannot be one message is an error, and nothing of it is broadcast.
func TestBroadcastSaysWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	lines := open(t, hubbub.Options{MaxMessage: 10})
	records := open(t, hubbub.Options{Framing: hubbub.Framing(4)})
	raw := open(t, hubbub.Options{Framing: hubbub.FramingRaw})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		s    *stage
		ctx  context.Context
		said string
		want string
	}{
		{lines, patient(t), "12345678901", "broadcast: a message of 11 bytes is longer than the longest allowed, 10"},
		{records, patient(t), "123", "broadcast: a message of 3 bytes is no record of 4 bytes"},
		{records, patient(t), "12345", "broadcast: a message of 5 bytes is longer than the longest allowed, 4"},
		{lines, gone, "x", "context canceled"},
		{raw, patient(t), "", ""},
	} {
		err := c.s.Broadcast(c.ctx, []byte(c.said))
		if got := fmt.Sprint(errors.Join(err)); got != c.want && (err != nil || c.want != "") {
			t.Errorf("broadcasting %q says %v, want %s", c.said, err, c.want)
		}
		if n := c.s.Stats().Broadcasts; n != 0 {
			t.Errorf("%d messages were broadcast", n)
		}
	}
	p := lines.client()
	lines.says("1234567890")
	p.Hears("1234567890\n")
}

// held returns a hub whose source is held, by a client that takes nothing.
func held(t *testing.T) (*stage, *peer) {
	t.Helper()
	s := open(t, hubbub.Options{Backlog: 64 << 10, Patience: scene.LongEnough, SocketOptions: []string{"SO_SNDBUF=8192"}})
	p := s.narrowClient()
	holding, stop := context.WithCancel(patient(t))
	pouring := begins(func() error {
		_, _, err := pour(holding, s, 1000)
		return err
	})
	s.isHeld(41)
	stop()
	if err := pouring(); err != nil {
		t.Fatal(err)
	}
	return s, p
}

// A broadcast that is held ends with its context, or with the hub, and then
// the message was not broadcast.
func TestAHeldBroadcastEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, p := held(t)
	n := int(s.Stats().Broadcasts)
	for range 3 {
		ctx, cancel := context.WithCancel(patient(t))
		broadcasting := begins(func() error { return s.Broadcast(ctx, []byte(strings.Repeat("never", 1000))) })
		cancel()
		if err := broadcasting(); !errors.Is(err, context.Canceled) {
			t.Errorf("Broadcast says %v, want that ctx was cancelled", err)
		}
	}
	if err := followAll(p.R, 1000, n); err != nil {
		t.Fatal(err)
	}
	s.says("at last")
	p.Hears("at last\n")
}

// A hub that closes, or drains, lets go of who is held.
func TestAHeldBroadcastEndsWithTheHub(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		how string
		do  func(t *testing.T, s *stage)
	}{
		{"close", func(t *testing.T, s *stage) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}},
		{"drain", func(t *testing.T, s *stage) {
			var left *hubbub.UndeliveredError
			if err := s.Drain(patient(t), 0); !errors.As(err, &left) {
				t.Errorf("Drain says %v, want what is undelivered", err)
			}
		}},
	} {
		t.Run(end.how, func(t *testing.T) {
			s, _ := held(t)
			r, w := scene.Pipe(t)
			if _, err := w.WriteString(strings.Repeat("x\n", 20_000)); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			broadcasting := begins(func() error {
				_, _, err := pour(patient(t), s, 1000)
				return err
			})
			reading := begins(func() error { return s.BroadcastFrom(patient(t), r) })
			end.do(t, s)
			if err := broadcasting(); !errors.Is(err, hubbub.ErrClosed) {
				t.Errorf("Broadcast says %v, want ErrClosed", err)
			}
			if err := reading(); !errors.Is(err, hubbub.ErrClosed) {
				t.Errorf("BroadcastFrom says %v, want ErrClosed", err)
			}
		})
	}
}

// Whatever a source is, all of it is broadcast, a last line without its
// newline included, and then BroadcastFrom returns.
func TestBroadcastFrom(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 3000 {
		text.Write(numbered(i, 100))
		text.WriteByte('\n')
	}
	text.WriteString("the last line")
	write := func(t *testing.T, w *os.File) {
		t.Helper()
		writing := begins(func() error {
			_, err := io.WriteString(w, text.String())
			return errors.Join(err, w.Close())
		})
		t.Cleanup(func() {
			if err := writing(); err != nil {
				t.Error(err)
			}
		})
	}
	for _, source := range []struct {
		what string
		open func(t *testing.T) *os.File
		want string
	}{
		{"pipe", func(t *testing.T) *os.File {
			r, w := scene.Pipe(t)
			write(t, w)
			return r
		}, text.String() + "\n"},
		{"socket", func(t *testing.T) *os.File {
			r, w := scene.SocketPair(t)
			write(t, w)
			return r
		}, text.String() + "\n"},
		{"file", func(t *testing.T) *os.File {
			name := filepath.Join(t.TempDir(), "text")
			if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			return opened(t, name)
		}, text.String() + "\n"},
		{"/dev/null", func(t *testing.T) *os.File { return opened(t, os.DevNull) }, ""},
		{"closed pipe", func(t *testing.T) *os.File {
			r, w := scene.Pipe(t)
			_ = w.Close()
			return r
		}, ""},
	} {
		t.Run(source.what, func(t *testing.T) {
			s := open(t, hubbub.Options{Backlog: 256 << 10})
			p := s.client()
			reading := begins(func() error { return s.BroadcastFrom(patient(t), source.open(t)) })
			p.Hears(source.want)
			if err := reading(); err != nil {
				t.Errorf("BroadcastFrom says %v", err)
			}
			s.says("and on we go")
			p.Hears("and on we go\n")
		})
	}
}

func opened(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// A source speaks when it wants to: what it has said is broadcast at once,
// half a line waits for its other half, and nobody waits for that.
func TestASourceThatPauses(t *testing.T) {
	t.Parallel()
	for _, kind := range []func(testing.TB) (r, w *os.File){scene.Pipe, scene.SocketPair} {
		s := open(t, hubbub.Options{Loops: 1})
		p := s.client()
		r, w := kind(t)
		reading := begins(func() error { return s.BroadcastFrom(patient(t), r) })
		for _, said := range []string{"one\ntwo\nfirst half, ", "second half\n", "\n"} {
			if _, err := w.WriteString(said); err != nil {
				t.Fatal(err)
			}
			whole := said[:strings.LastIndexByte(said, '\n')+1]
			p.Hears(whole)
			s.says("between")
			p.Hears("between\n")
			if strings.HasSuffix(said, ", ") {
				p.Says("I am heard\n")
				s.hears("1 I am heard")
				if _, err := w.WriteString("\n"); err != nil {
					t.Fatal(err)
				}
				p.Hears("first half, \n")
			}
		}
		_ = w.Close()
		if err := reading(); err != nil {
			t.Error(err)
		}
	}
}

// A line of a source that is too long is split, and that is logged; one of just the
// longest length is not.
func TestALongLineOfASourceIsSplit(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{MaxMessage: 1000})
	p := s.client()
	r, w := scene.Pipe(t)
	reading := begins(func() error { return s.BroadcastFrom(patient(t), r) })
	longest := strings.Repeat("x", 1000)
	fmt.Fprintf(w, "%s\n%sy\n%s%s%sz", longest, longest, longest, longest, longest)
	_ = w.Close()
	p.Hears(longest + "\n" + longest + "\ny\n" + longest + "\n" + longest + "\n" + longest + "\nz\n")
	if err := reading(); err != nil {
		t.Error(err)
	}
	s.logs("a message of the source is longer than 1000 B and is split")
}

// There is one source at a time; a second one is refused, not mixed in, and
// the first goes on.
func TestTwoSourcesAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{})
	p := s.client()
	r1, w1 := scene.Pipe(t)
	r2, w2 := scene.Pipe(t)
	reading := begins(func() error { return s.BroadcastFrom(patient(t), r1) })
	_, _ = w1.WriteString("first\n")
	p.Hears("first\n")
	_, _ = w2.WriteString("second\n")
	if err := s.BroadcastFrom(patient(t), r2); err == nil || err.Error() != "BroadcastFrom: another source is being read already" {
		t.Errorf("a second source says %v", err)
	}
	_, _ = w1.WriteString("first again\n")
	_ = w1.Close()
	p.Hears("first again\n")
	if err := reading(); err != nil {
		t.Error(err)
	}
	_ = w2.Close()
	if err := s.BroadcastFrom(patient(t), r2); err != nil {
		t.Errorf("after the first has ended, the second says %v", err)
	}
	p.Hears("second\n")
}

// BroadcastFrom ends with its context, leaves the file open and in its mode,
// and gives back what it took for itself.
func TestBroadcastFromEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{})
	p := s.client()
	for range 3 {
		r, w := scene.SocketPair(t)
		ctx, cancel := context.WithCancel(patient(t))
		reading := begins(func() error { return s.BroadcastFrom(ctx, r) })
		_, _ = w.WriteString("heard\n")
		p.Hears("heard\n")
		cancel()
		if err := reading(); !errors.Is(err, context.Canceled) {
			t.Errorf("BroadcastFrom says %v, want that ctx was cancelled", err)
		}
		_, _ = w.WriteString("mine\n")
		got := make([]byte, 5)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "mine\n" {
			t.Errorf("reading on gives %q (%v)", got, err)
		}
	}
	r, _ := scene.Pipe(t)
	_ = r.Close()
	if err := s.BroadcastFrom(patient(t), r); err == nil {
		t.Error("a closed file gives no error")
	}
}

// Lines as short as can be, which are long for hubbub.v1, do not come in larger
// pieces than the backlog has room for.
func TestASourceOfEmptyLinesIsBounded(t *testing.T) {
	t.Parallel()
	const backlog = 64 << 10
	lines := strings.Repeat("\n", 4*backlog)
	name := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(name, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, open := range map[string]func(t *testing.T) *os.File{
		"pipe": func(t *testing.T) *os.File {
			r, w := scene.Pipe(t)
			go func() { _, _ = io.WriteString(w, lines) }() // until the pipe is closed
			return r
		},
		"file": func(t *testing.T) *os.File { return opened(t, name) },
	} {
		t.Run(what, func(t *testing.T) {
			s := openAny(t, unhurried(hubbub.Options{Backlog: backlog, Loops: 1, Patience: time.Minute}))
			s.v1("/") // which reads nothing
			go func() { _ = s.BroadcastFrom(t.Context(), open(t)) }()
			s.isHeld(1)
			if _, lag := s.Slowest(); lag > backlog {
				t.Errorf("a client is %d bytes behind, the backlog has %d", lag, backlog)
			}
		})
	}
}

// A chunk of lines so short that they come in parts loses none, doubles none and
// keeps their order: what the hub has read of it when it drains is delivered,
// and the rest is still in the pipe.
func TestASourceOfShortLinesIsHeldWhole(t *testing.T) {
	t.Parallel()
	const lines, least = 30_000, 1000
	s := openAny(t, unhurried(hubbub.Options{Backlog: 64 << 10, Loops: 1, Patience: time.Minute}))
	c, _ := s.v1("/")
	r, w := scene.Pipe(t)
	reading := begins(func() error { return s.BroadcastFrom(patient(t), r) })
	writing := begins(func() error {
		for i := range lines {
			if _, err := fmt.Fprintf(w, "%x\n", i); err != nil {
				return err
			}
		}
		return w.Close()
	})
	next := 0
	hears := func() bool {
		o, err := c.nextObject()
		if err != nil {
			return false
		}
		if want := fmt.Sprintf("%x", next); o.Type != "message" || o.Text != want {
			t.Fatalf("%+v comes in the place of %q", o, want)
		}
		next++
		return true
	}
	for next < least && hears() {
	}
	s.isHeld(least)
	draining := begins(func() error { return s.Drain(patient(t), 30*time.Second) })
	for hears() {
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	first := true // the hub may have had its beginning
	for line := range strings.Lines(string(rest)) {
		if want := fmt.Sprintf("%x\n", next); line != want && !(first && strings.HasSuffix(want, line)) {
			t.Fatalf("%q is left in the place of %q", line, want)
		}
		next, first = next+1, false
	}
	if next != lines {
		t.Errorf("%d lines are there of %d", next, lines)
	}
	if err := errors.Join(writing(), draining()); err != nil {
		t.Error(err)
	}
	if err := reading(); !errors.Is(err, hubbub.ErrClosed) {
		t.Errorf("BroadcastFrom says %v", err)
	}
}
