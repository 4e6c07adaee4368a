package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"hubbub.example/internal/proto"
)

// parseSaid reads one that is whole.
func parseSaid(said string, longest int) (Said, *Breach) {
	var s Saying
	if breach := s.Take([]byte(said), longest); breach != nil {
		return Said{}, breach
	}
	return s.End()
}

// saids are what Saying has to make of what comes; nil data is a breach.
var saids = []struct {
	said string
	kind SaidKind
	n    uint64
	data []byte
}{
	{`{"type":"message","n":1,"text":"hello"}`, SaysMessage, 1, []byte("hello")},
	{`{"type":"message","text":"hello"}`, SaysMessage, 0, []byte("hello")},
	{`{"type":"message","text":""}`, SaysMessage, 0, []byte{}},
	{" \t\r\n{ \"type\" : \"message\" , \"n\" : 2 , \"text\" : \"a\" } \t\r\n", SaysMessage, 2, []byte("a")},
	{`{"text":"a","n":9007199254740992,"type":"message"}`, SaysMessage, 1 << 53, []byte("a")},
	{`{"type":"message","base64":"/w=="}`, SaysMessage, 0, []byte("\xff")},
	{`{"type":"message","base64":""}`, SaysMessage, 0, []byte{}},
	{`{"type":"message","base64":"\/\u0077=="}`, SaysMessage, 0, []byte("\xff")},
	{`{"type":"message","text":"\ud83d\ude00\n\"\\\/é"}`, SaysMessage, 0, []byte("😀\n\"\\/é")},
	{`{"type":"message","text":"a\ud83db\ude00c"}`, SaysMessage, 0, []byte("a\uFFFDb\uFFFDc")},
	{"{\"type\":\"message\",\"text\":\"a\xffb\"}", SaysMessage, 0, []byte("a\uFFFDb")},
	{`{"t\u0079pe":"mess\u0061ge","text":"a"}`, SaysMessage, 0, []byte("a")},
	{`{"type":"message","text":"a","Text":1,"TYPE":2,"N":-1,"x":{"text":"b","y":["}","]",{"n":0}]},"z":null}`, SaysMessage, 0, []byte("a")},
	{`{"type":"message","text":"a","text":"b","n":1,"n":2}`, SaysMessage, 2, []byte("b")},
	{`{"type":"message","text":"}],{\"n\":5"}`, SaysMessage, 0, []byte(`}],{"n":5`)},
	{`{"type":"heartbeat"}`, SaysHeartbeat, 0, []byte{}},
	{`{"type":"heartbeat","n":"x","text":5}`, SaysHeartbeat, 0, []byte{}},
	{`{"type":"end"}`, SaysEnd, 0, []byte{}},
	{`{"type":"dance","n":-1}`, SaysNothing, 0, []byte{}},
	{`{"type":"Message"}`, SaysNothing, 0, []byte{}},
	{`{"type":5}`, SaysNothing, 0, []byte{}},
	{`{"type":null}`, SaysNothing, 0, []byte{}},
	{`{"type":["message"]}`, SaysNothing, 0, []byte{}},
	{`{}`, SaysNothing, 0, []byte{}},
	{`{ }`, SaysNothing, 0, []byte{}},
	{`{"":""}`, SaysNothing, 0, []byte{}},
	{said: ``},
	{said: ` `},
	{said: `null`},
	{said: `"message"`},
	{said: `[{"type":"end"}]`},
	{said: `{"type":"end"`},
	{said: `{"type":"end"}x`},
	{said: `{"type":"end"}{"type":"end"}`},
	{said: `{"type":"end",}`},
	{said: `{type:"end"}`},
	{said: `{'type':'end'}`},
	{said: "\uFEFF" + `{"type":"end"}`},
	{said: `{"type":"message"}`},
	{said: `{"type":"message","n":1}`},
	{said: `{"type":"message","text":null}`},
	{said: `{"type":"message","text":5}`},
	{said: `{"type":"message","text":["a"]}`},
	{said: `{"type":"message","text":"a","base64":"YQ=="}`},
	{said: `{"type":"message","base64":null}`},
	{said: `{"type":"message","base64":"YQ"}`},
	{said: `{"type":"message","base64":"YR=="}`},
	{said: `{"type":"message","base64":"YQ==\n"}`},
	{said: `{"type":"message","base64":"Y\rQ=="}`},
	{said: `{"type":"message","base64":"_w=="}`},
	{said: `{"type":"message","text":"a","n":0}`},
	{said: `{"type":"message","text":"a","n":-1}`},
	{said: `{"type":"message","text":"a","n":1.0}`},
	{said: `{"type":"message","text":"a","n":1e3}`},
	{said: `{"type":"message","text":"a","n":9007199254740993}`},
	{said: `{"type":"message","text":"a","n":18446744073709551617}`},
	{said: `{"type":"message","text":"a","n":"1"}`},
	{said: `{"type":"message","text":"a","n":null}`},
	{said: `{"type":"message","text":"a","n":01}`},
	{said: "{\"type\":\"message\",\"text\":\"a\nb\"}"},
}

func TestSaying(t *testing.T) {
	for _, c := range saids {
		got, breach := parseSaid(c.said, 1<<20)
		switch {
		case c.data == nil:
			if breach == nil || breach.Code != proto.CloseProtocolError || breach.Reason == "" {
				t.Errorf("%s: %+v, %v; want a breach", c.said, got, breach)
			}
		case breach != nil:
			t.Errorf("%s: %v", c.said, breach)
		case got.Kind != c.kind || got.N != c.n || !bytes.Equal(got.Data, c.data):
			t.Errorf("%s: %d, %d, %q; want %d, %d, %q", c.said, got.Kind, got.N, got.Data, c.kind, c.n, c.data)
		}
	}
}

// Fields that nobody asks for cost nothing, however deep they are.
func TestSayingOfADeepObject(t *testing.T) {
	for depth, want := range map[int]bool{5000: true, 50000: false} {
		p := `{"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `,"type":"end"}`
		if said, breach := parseSaid(p, 1<<20); (breach == nil) != want || want && said.Kind != SaysEnd {
			t.Errorf("%d deep: %v, %v", depth, said, breach)
		}
	}
}

// However it is cut, the same was said.
func TestSayingInPieces(t *testing.T) {
	for _, c := range saids {
		want, wrong := parseSaid(c.said, 1<<20)
		for size := range len(c.said) {
			var s Saying
			var breach *Breach
			for p := range slices.Chunk([]byte(c.said), size+1) {
				if breach = s.Take(p, 1<<20); breach != nil {
					break
				}
			}
			var got Said
			if breach == nil {
				got, breach = s.End()
			}
			if (breach == nil) != (wrong == nil) || got.Kind != want.Kind || got.N != want.N || !bytes.Equal(got.Data, want.Data) {
				t.Fatalf("%s in pieces of %d: %+v, %v; want %+v, %v", c.said, size+1, got, breach, want, wrong)
			}
		}
	}
}

// What is held counts as what it will be, and what is too long is refused with
// the piece that makes it so, whatever is still to come.
func TestSayingHoldsWhatIsSaid(t *testing.T) {
	const longest, piece = 10_000, 1000
	for _, c := range []struct {
		name, before, unit string
		size               int // of a unit when it is read
		most               int
	}{
		{"escapes", `{"type":"message","text":"`, `\u0041`, 1, longest},
		{"control characters", `{"text":"`, `\u0000`, 1, longest},
		{"pairs", `{"text":"`, `\ud83d\ude00`, 4, longest},
		{"UTF-8", `{"text":"`, `é`, 2, longest},
		{"base64", `{"base64":"`, `YWFh`, 4, (longest + 2) / 3 * 4},
		{"what nobody asks for", `{"x":{"text":"`, `\u0041`, 0, 0},
		{"a long name", `{"`, `text`, 0, 0},
		{"a long type", `{"type":"`, `message`, 0, 0},
		{"a long number", `{"n":1`, `0`, 0, 0},
		{"brackets", `{"x":`, `[`, 1, deepest - 1},
	} {
		var s Saying
		if breach := s.Take([]byte(c.before), longest); breach != nil {
			t.Fatal(breach)
		}
		open := s.Held()
		unit := []byte(c.unit)
		for n := 1; ; n++ {
			breach := s.Take(bytes.Repeat(unit, piece), longest)
			size := n * piece * c.size
			if (breach != nil) != (size > c.most) {
				t.Errorf("%s: %d bytes, of which %d may be: %v", c.name, size, c.most, breach)
			}
			if breach == nil && s.Held() != open+size || s.Held() > open+c.most+piece*c.size {
				t.Errorf("%s: %d bytes are held as %d", c.name, size, s.Held()-open)
			}
			if breach != nil || n > 10*longest/piece {
				break
			}
		}
	}
}

// One that is used again for something as short needs no memory.
func TestSayingAgainAllocatesNothing(t *testing.T) {
	p := []byte(`{"type":"message","n":1,"text":"a \"quoted\"\u0020one","x":[{}]}`)
	var s Saying
	if n := testing.AllocsPerRun(100, func() {
		s.Reset()
		if breach := s.Take(p, 100); breach != nil {
			t.Fatal(breach)
		}
		if said, breach := s.End(); breach != nil || string(said.Data) != `a "quoted" one` {
			t.Fatalf("%+v, %v", said, breach)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// saidSlowly is what Saying is compared with: it makes a map of the whole.
func saidSlowly(p []byte) (Said, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(p, &fields) != nil || fields == nil {
		return Said{}, false
	}
	stringOf := func(name string) (string, bool) {
		value := any(nil)
		if fields[name] != nil {
			json.Unmarshal(fields[name], &value)
		}
		s, ok := value.(string)
		return s, ok
	}
	switch kind, _ := stringOf("type"); kind {
	case "heartbeat":
		return Said{Kind: SaysHeartbeat}, true
	case "end":
		return Said{Kind: SaysEnd}, true
	case "message":
	default:
		return Said{}, true
	}
	said := Said{Kind: SaysMessage}
	if n, has := fields["n"]; has {
		if json.Unmarshal(n, &said.N) != nil || string(n) == "null" || said.N < 1 || said.N > 9007199254740992 {
			return Said{}, false
		}
	}
	_, hasText := fields["text"]
	_, hasBase64 := fields["base64"]
	s, ok := stringOf("text")
	if hasText == hasBase64 || hasText && !ok {
		return Said{}, false
	}
	said.Data = []byte(s)
	if hasBase64 {
		s, ok = stringOf("base64")
		data, err := base64.StdEncoding.DecodeString(s)
		if !ok || err != nil || base64.StdEncoding.EncodeToString(data) != s {
			return Said{}, false
		}
		said.Data = data
	}
	return said, true
}

// Whatever a client says is understood as encoding/json does.
func FuzzSaid(f *testing.F) {
	for _, c := range saids {
		f.Add([]byte(c.said))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		want, ok := saidSlowly(bytes.Clone(p))
		got, breach := parseSaid(string(p), 1<<20)
		if (breach == nil) != ok || got.Kind != want.Kind || got.N != want.N || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%q: %+v, %v; want %+v, %v", p, got, breach, want, ok)
		}
	})
}

func BenchmarkSaying(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"plain 16", strings.Repeat("a", 16)},
		{"plain 100", strings.Repeat("a", 100)},
		{"plain 1 MiB", strings.Repeat("a", 1<<20)},
		{"UTF-8 1 MiB", strings.Repeat("aaaaaaé", 1<<17)},
		{"escapes 6 MiB", strings.Repeat(`\u0041`, 1<<20)},
	} {
		p := []byte(`{"type":"message","n":1,"text":"` + c.text + `"}`)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(p)))
			var s Saying
			for b.Loop() {
				s.Reset()
				s.Take(p, 1<<21)
				s.End()
			}
		})
	}
}
