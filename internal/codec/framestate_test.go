package codec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// partsOf returns all that frames make of a stream that is cut there, with the state
// written to bytes and read back at each cut.
func partsOf(t *testing.T, stream []byte, cuts []int) (parts []string) {
	t.Helper()
	var f Frames
	message := ""
	for i, from := range cuts {
		to := len(stream)
		if i+1 < len(cuts) {
			to = cuts[i+1]
		}
		for rest := bytes.Clone(stream[from:to]); ; {
			part, more, breach := f.Next(rest, 1<<20)
			if breach != nil {
				return append(parts, breach.Error())
			}
			if part.Kind == Nothing {
				break
			}
			rest = more
			if message += string(part.Data); part.Kind == Data && !part.Last {
				continue
			}
			parts = append(parts, fmt.Sprint(part.Kind, part.Text, part.Code, message))
			message = ""
		}
		var g Frames
		if err := g.Restore(f.State()); err != nil {
			t.Fatal(err)
		}
		f = g
	}
	return parts
}

// Wherever a stream is cut, another process goes on with it as this one would.
func TestFramesGoOnElsewhere(t *testing.T) {
	var stream bytes.Buffer
	says := func(op ws.OpCode, fin bool, payload string) {
		_ = ws.WriteFrame(&stream, ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload)))) // a Buffer takes all
	}
	says(ws.OpText, false, "h\xc3")
	says(ws.OpContinuation, true, "\xa4llo")
	says(ws.OpPing, true, strings.Repeat("p", 125))
	says(ws.OpBinary, true, strings.Repeat("x", 70_000))
	says(ws.OpPong, true, "")
	says(ws.OpText, true, strings.Repeat("y", 200))
	says(ws.OpText, true, "\xff") // a breach, which the first byte shows
	want := partsOf(t, stream.Bytes(), []int{0})
	if len(want) != 6 {
		t.Fatalf("uncut it is %q", want)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for at := range 200 {
		cuts := []int{0, at}
		for cut := at; ; cuts = append(cuts, cut) {
			if cut += 1 + random.IntN(20_000); cut >= stream.Len() {
				break
			}
		}
		if got := partsOf(t, stream.Bytes(), cuts); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("cut at %d it is %.200q", cuts, got)
		}
	}
}

// A state of another version, or one that no frame can be in, is refused.
func TestFramesRefuseOtherStates(t *testing.T) {
	for _, state := range []string{
		``, `{}`, `{"Version":2}`,
		`{"Version":1,"Frame":{"Left":-1}}`, `{"Version":1,"Frame":{"At":4}}`, `{"Version":1,"Frame":{"KeptLen":1}}`, `{"Version":1,"Frame":{"Kept":[],"KeptLen":126}}`,
		`{"Version":1,"Message":{"Tail":{"N":4}}}`, `{"Version":1,"Header":"AAAAAAAAAAAAAAAAAAAA"}`,
	} {
		if err := new(Frames).Restore([]byte(state)); err == nil {
			t.Errorf("%s is accepted", state)
		}
	}
}
