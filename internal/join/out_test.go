package join

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
)

func TestWhatStdoutSaysOfAMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		frame                     framing.Framing
		wire, plain, tagged, json string
	}{
		{
			framing.Lines, `{"type":"message","seq":7,"time":"T","text":"hi <b> é"}`,
			"hi <b> é\n", "-\thi <b> é\n", `{"type":"message","seq":7,"time":"T","text":"hi <b> é"}` + "\n",
		},
		{
			framing.Lines, `{"type":"message","seq":7,"time":"T","text":"","id":3}`,
			"\n", "3\t\n", `{"type":"message","seq":7,"time":"T","id":3,"text":""}` + "\n",
		},
		{
			framing.Lines, "{\n\"type\":\"message\",\"seq\":7,\n\"text\":\"a\\nb\",\"id\":3,\"name\":\"ann\"}",
			"a\nb\n", "ann\ta\nann\tb\n", `{"type":"message","seq":7,"id":3,"name":"ann","text":"a\nb"}` + "\n",
		},
		{
			framing.NUL, `{"type":"message","seq":7,"text":"\u0085\u009b\u2028\u2029\u007f","name":"\u0085\u2028"}`,
			"\u0085\u009b\u2028\u2029\x7f\x00", "\ufffd\u2028\t\u0085\u009b\u2028\u2029\x7f\x00",
			`{"type":"message","seq":7,"name":"\u0085\u2028","text":"\u0085\u009b\u2028\u2029\u007f"}` + "\n",
		},
		{
			framing.NUL, `{"type":"message","seq":7,"text":"a\nb","name":"a\tb"}`,
			"a\nb\x00", "a\ufffdb\ta\nb\x00", `{"type":"message","seq":7,"name":"a\tb","text":"a\nb"}` + "\n",
		},
		{
			2, `{"type":"message","seq":7,"base64":"/zw="}`,
			"\xff<", "-\t\xff<", `{"type":"message","seq":7,"base64":"/zw="}` + "\n",
		},
	} {
		s, err := parseMessage([]byte(c.wire))
		if err != nil {
			t.Fatal(err)
		}
		for out, want := range map[Out]string{Plain: c.plain, Tagged: c.tagged, JSON: c.json} {
			var b bytes.Buffer
			if out.render(&b, c.frame, &s); b.String() != want {
				t.Errorf("%s says %q, want %q", out, &b, want)
			}
		}
	}
}

// Raw, tags and JSON need whole messages, whose senders and numbers nobody
// knows; what breaks off ends early.
func TestRawMessagesAreTaggedWhole(t *testing.T) {
	t.Parallel()
	const broken = "\xff" // stands for a break
	for _, c := range []struct {
		name  string
		frame framing.Framing
		out   Out
		in    []string
		want  string
	}{
		{"lines in pieces", framing.Lines, Tagged, []string{"a\nb", "c\n\nd", "\n"}, "-\ta\n-\tbc\n-\t\n-\td\n"},
		{"a last line", framing.Lines, Tagged, []string{"a\nb"}, "-\ta\n-\tb\n"},
		{"a break", framing.Lines, Tagged, []string{"a\nb", broken, "c\n"}, "-\ta\n-\tb\n-\tc\n"},
		{"two breaks", framing.Lines, Tagged, []string{"b", broken, broken, "c", broken}, "-\tb\n-\tc\n"},
		{"NUL", framing.NUL, Tagged, []string{"a\nb\x00c\x00"}, "-\ta\nb\x00-\tc\x00"},
		{"records", 2, Tagged, []string{"abc", "d"}, "-\tab-\tcd"},
		{"a record breaks off", 2, Tagged, []string{"abc", broken, "de"}, "-\tab-\tde"},
		{"JSON", framing.Lines, JSON, []string{"a\nb", "c\n\xff\n"}, `{"text":"a"}|{"text":"bc"}|{"base64":"/w=="}|`},
		{"JSON of bytes", framing.Raw, JSON, []string{"a\nb", "c"}, `{"text":"a\nb"}|{"text":"c"}|`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			p := &printer{w: &out, frame: c.frame, out: c.out}
			for _, s := range c.in {
				if s == broken {
					p.broke()
				} else if n, err := p.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatal(n, err)
				}
			}
			if err := p.end(); err != nil {
				t.Fatal(err)
			}
			got := out.String()
			if c.out == JSON {
				got = withoutTimes(t, got)
			}
			if got != c.want {
				t.Errorf("STDOUT is %q, want %q", got, c.want)
			}
		})
	}
}

// withoutTimes is each line's message alone.
func withoutTimes(t *testing.T, out string) (messages string) {
	t.Helper()
	for line := range strings.Lines(out) {
		rest, is := strings.CutPrefix(line, `{"type":"message","time":"2`)
		_, rest, found := strings.Cut(rest, `Z",`)
		if !is || !found {
			t.Errorf("there is no time in %q", line)
		}
		messages += "{" + strings.TrimSuffix(rest, "\n") + "|"
	}
	return messages
}

// A message without an end does not take memory without an end.
func TestVeryLongRawMessageIsCut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &printer{w: &out, frame: framing.Lines, out: Tagged}
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range longestHeld>>20 + 1 {
		if _, err := p.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if n := bytes.Count(out.Bytes(), []byte("-\t")); n != 1 || len(p.held) != len(block) {
		t.Errorf("%d messages are printed, %d bytes are held", n, len(p.held))
	}
}

// Neither memory nor the end of things hangs on a STDOUT that takes nothing.
func TestInboxIsBounded(t *testing.T) {
	t.Parallel()
	out := newBlockedWriter()
	idle := make(chan struct{}, 100)
	b := newInbox(&printer{w: out}, func() { idle <- struct{}{} }, func(error) {})
	go b.run()
	line := func(w *bytes.Buffer) { w.WriteString(strings.Repeat("x", 1<<10)) }
	hurried := func() bool { return true }
	n := uint64(0)
	for b.add(proto.Point{Epoch: "e", Seq: n + 1}, hurried, line) {
		n++
	}
	if n > 2*inboxSize>>10+1 || !b.full() || b.empty() {
		t.Errorf("%d KiB are kept", n)
	}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		b.add(proto.Point{Epoch: "e", Seq: n + 1}, never, line)
	}()
	if b.at() != (proto.Point{}) {
		t.Errorf("it says that %s is printed", b.at())
	}
	close(out.release)
	await(t, waiting, "room")
	await(t, idle, "all to be printed")
	b.close()
	await(t, b.done, "the end")
	if b.at() != (proto.Point{Epoch: "e", Seq: n + 1}) || len(out.Text()) != int(n+1)<<10 {
		t.Errorf("printed up to %s, %d bytes", b.at(), len(out.Text()))
	}
}

func TestInboxOfALostStdoutTakesAll(t *testing.T) {
	t.Parallel()
	lost := make(chan error, 1)
	b := newInbox(&printer{w: lostWriter{}}, func() {}, func(err error) { lost <- err })
	go b.run()
	b.add(proto.Point{Epoch: "e", Seq: 1}, never, func(w *bytes.Buffer) { w.WriteString("x") })
	if err := <-lost; !isStdout(err) {
		t.Errorf("it says %v", err)
	}
	for range 10 {
		b.add(proto.Point{Epoch: "e", Seq: 1}, never, func(w *bytes.Buffer) { w.Write(make([]byte, inboxSize)) })
	}
	if !errors.Is(b.out.end(), nil) || b.at() != (proto.Point{}) {
		t.Error("what was lost is said to be printed")
	}
	b.close()
	await(t, b.done, "the end")
}
