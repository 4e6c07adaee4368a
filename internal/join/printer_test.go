package join

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"hubbub.example/internal/framing"
)

func TestWhatBreaksOffStaysApart(t *testing.T) {
	const broken = "\xff" // stands for a break
	for _, c := range []struct {
		name  string
		frame framing.Framing
		in    []string
		want  string
		torn  bool
	}{
		{"between lines", framing.Lines, []string{"a\n", broken, "b\n"}, "a\nb\n", false},
		{"inside a line", framing.Lines, []string{"a\nhal", broken, "b\n"}, "a\nhal\nb\n", true},
		{"inside a line, twice", framing.Lines, []string{"hal", broken, "f", broken, "b\n"}, "hal\nf\nb\n", true},
		{"inside a line, then for good", framing.Lines, []string{"hal", broken}, "hal", true},
		{"with nothing between", framing.Lines, []string{"hal", broken, broken, "b\n"}, "hal\nb\n", true},
		{"inside a message", framing.NUL, []string{"ha\nl", broken, "b\x00"}, "ha\nl\x00b\x00", true},
		{"raw", framing.Raw, []string{"abc", broken, "def"}, "abcdef", false},
		{"between records", 4, []string{"abcdefgh", broken, "ijkl"}, "abcdefghijkl", false},
		{"inside a record", 4, []string{"abcdef", broken, "ijkl"}, "abcdijkl", true},
		{"records in pieces", 4, []string{"a", "bc", "defghi", "j", "", "kl"}, "abcdefghijkl", false},
		{"the last record's beginning", 4, []string{"abcdef"}, "abcdef", false},
		{"a prompt", framing.Lines, []string{"login: "}, "login: ", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			p := &printer{w: &out, frame: c.frame}
			torn := false
			for _, s := range c.in {
				if s == broken {
					torn = p.broke() || torn
				} else if n, err := p.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatal(n, err)
				}
			}
			if err := p.end(); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want || torn != c.torn {
				t.Errorf("STDOUT is %q, torn %t; want %q, %t", &out, torn, c.want, c.torn)
			}
		})
	}
}

// Nothing is held back but a record's beginning.
func TestBytesArePrintedAsTheyCome(t *testing.T) {
	var out bytes.Buffer
	p := &printer{w: &out}
	for _, s := range []string{"lo", "gin", ": "} {
		before := out.Len()
		if _, err := p.Write([]byte(s)); err != nil || out.Len() != before+len(s) {
			t.Fatalf("after %q STDOUT is %q (%v)", s, &out, err)
		}
	}
}

func TestLostStdoutIsSaid(t *testing.T) {
	p := &printer{w: lostWriter{}}
	_, err := p.Write([]byte("x"))
	if !errors.As(err, new(*stdoutError)) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing to a lost STDOUT says %v", err)
	}
}

// What the writer holds back, the beginning of a character, comes at the end.
func TestWriterIsFlushedAtTheEnd(t *testing.T) {
	w := &holdingWriter{}
	p := &printer{w: w}
	_, _ = p.Write([]byte("x"))
	if err := p.end(); err != nil || w.String() != "x" {
		t.Errorf("STDOUT is %q (%v)", w, err)
	}
}

type holdingWriter struct {
	bytes.Buffer
	held []byte
}

func (h *holdingWriter) Write(p []byte) (int, error) {
	h.held = append(h.held, p...)
	return len(p), nil
}

func (h *holdingWriter) Flush() error {
	_, err := h.Buffer.Write(h.held)
	return err
}

type lostWriter struct{}

func (lostWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
