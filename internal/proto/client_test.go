package proto

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// fromClients are what a Decoder makes of what comes; nil data is a breach.
var fromClients = []struct {
	json string
	kind string
	n    uint64
	data []byte
}{
	{`{"type":"message","n":1,"text":"hello"}`, Message, 1, []byte("hello")},
	{`{"type":"message","text":"hello"}`, Message, 0, []byte("hello")},
	{`{"type":"message","text":""}`, Message, 0, []byte{}},
	{" \t\r\n{ \"type\" : \"message\" , \"n\" : 2 , \"text\" : \"a\" } \t\r\n", Message, 2, []byte("a")},
	{`{"text":"a","n":9007199254740992,"type":"message"}`, Message, 1 << 53, []byte("a")},
	{`{"type":"message","base64":"/w=="}`, Message, 0, []byte("\xff")},
	{`{"type":"message","base64":""}`, Message, 0, []byte{}},
	{`{"type":"message","base64":"\/\u0077=="}`, Message, 0, []byte("\xff")},
	{`{"type":"message","text":"\ud83d\ude00\n\"\\\/é"}`, Message, 0, []byte("😀\n\"\\/é")},
	{`{"type":"message","text":"a\ud83db\ude00c"}`, Message, 0, []byte("a\uFFFDb\uFFFDc")},
	{"{\"type\":\"message\",\"text\":\"a\xffb\"}", Message, 0, []byte("a\uFFFDb")},
	{`{"t\u0079pe":"mess\u0061ge","text":"a"}`, Message, 0, []byte("a")},
	{`{"type":"message","text":"a","Text":1,"TYPE":2,"N":-1,"x":{"text":"b","y":["}","]",{"n":0}]},"z":null}`, Message, 0, []byte("a")},
	{`{"type":"message","text":"a","text":"b","n":1,"n":2}`, Message, 2, []byte("b")},
	{`{"type":"message","text":"}],{\"n\":5"}`, Message, 0, []byte(`}],{"n":5`)},
	{`{"type":"heartbeat"}`, Heartbeat, 0, []byte{}},
	{`{"type":"heartbeat","n":"x","text":5}`, Heartbeat, 0, []byte{}},
	{`{"type":"end"}`, End, 0, []byte{}},
	{`{"type":"dance","n":-1}`, "", 0, []byte{}},
	{`{"type":"Message"}`, "", 0, []byte{}},
	{`{"type":5}`, "", 0, []byte{}},
	{`{"type":null}`, "", 0, []byte{}},
	{`{"type":["message"]}`, "", 0, []byte{}},
	{`{}`, "", 0, []byte{}},
	{`{ }`, "", 0, []byte{}},
	{`{"":""}`, "", 0, []byte{}},
	{json: ``},
	{json: ` `},
	{json: `null`},
	{json: `"message"`},
	{json: `[{"type":"end"}]`},
	{json: `{"type":"end"`},
	{json: `{"type":"end"}x`},
	{json: `{"type":"end"}{"type":"end"}`},
	{json: `{"type":"end",}`},
	{json: `{type:"end"}`},
	{json: `{'type':'end'}`},
	{json: "\uFEFF" + `{"type":"end"}`},
	{json: `{"type":"message"}`},
	{json: `{"type":"message","n":1}`},
	{json: `{"type":"message","text":null}`},
	{json: `{"type":"message","text":5}`},
	{json: `{"type":"message","text":["a"]}`},
	{json: `{"type":"message","text":"a","base64":"YQ=="}`},
	{json: `{"type":"message","base64":null}`},
	{json: `{"type":"message","base64":"YQ"}`},
	{json: `{"type":"message","base64":"YR=="}`},
	{json: `{"type":"message","base64":"YQ==\n"}`},
	{json: `{"type":"message","base64":"Y\rQ=="}`},
	{json: `{"type":"message","base64":"_w=="}`},
	{json: `{"type":"message","text":"a","n":0}`},
	{json: `{"type":"message","text":"a","n":-1}`},
	{json: `{"type":"message","text":"a","n":1.0}`},
	{json: `{"type":"message","text":"a","n":1e3}`},
	{json: `{"type":"message","text":"a","n":9007199254740993}`},
	{json: `{"type":"message","text":"a","n":18446744073709551617}`},
	{json: `{"type":"message","text":"a","n":"1"}`},
	{json: `{"type":"message","text":"a","n":null}`},
	{json: `{"type":"message","text":"a","n":01}`},
	{json: "{\"type\":\"message\",\"text\":\"a\nb\"}"},
}

func TestMessagesOfClients(t *testing.T) {
	for _, c := range fromClients {
		got, breach := new(Decoder).Decode([]byte(c.json))
		switch {
		case c.data == nil:
			if breach == nil || breach.Code != CloseProtocolError || breach.Reason == "" {
				t.Errorf("%s: %+v, %v; want a breach", c.json, got, breach)
			}
		case breach != nil:
			t.Errorf("%s: %v", c.json, breach)
		case got.Type != c.kind || got.N != c.n || !bytes.Equal(got.Data, c.data):
			t.Errorf("%s: %q, %d, %q; want %q, %d, %q", c.json, got.Type, got.N, got.Data, c.kind, c.n, c.data)
		}
	}
}

// Fields that nobody asks for cost nothing, however deep they are.
func TestADeepObject(t *testing.T) {
	for depth, want := range map[int]bool{5000: true, 50000: false} {
		p := `{"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `,"type":"end"}`
		if m, breach := new(Decoder).Decode([]byte(p)); (breach == nil) != want || want && m.Type != End {
			t.Errorf("%d deep: %v, %v", depth, m, breach)
		}
	}
}

// One that is used again for something as short needs no memory.
func TestDecodingAgainAllocatesNothing(t *testing.T) {
	p := []byte(`{"type":"message","n":1,"text":"a \"quoted\"\u0020one","x":[{}]}`)
	var d Decoder
	if n := testing.AllocsPerRun(100, func() {
		if m, breach := d.Decode(p); breach != nil || string(m.Data) != `a "quoted" one` {
			t.Fatalf("%+v, %v", m, breach)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A decoder holds no more than the message, whatever is in it.
func TestADecoderHoldsNoMoreThanTheMessage(t *testing.T) {
	const longest = 10_000
	for _, before := range []string{`{"type":"message","text":"`, `{"x":{"text":"`, `{"`, `{"type":"`, `{"type":"message","base64":"`} {
		for _, unit := range []string{`\u0041`, `\u0000`, `\ud83d\ude00`, `\ud83d`, "YWFh"} {
			p := before + strings.Repeat(unit, JSONLimit(longest, 0)/len(unit)) + `"`
			var d Decoder
			d.Decode([]byte(p + strings.Repeat("}", strings.Count(p, "{"))))
			if held := cap(d.data); held > 3*len(p)+1000 {
				t.Errorf("of %d bytes of %s%s, %d are held", len(p), before, unit, held)
			}
		}
	}
}

// decodeSlowly returns what a Decoder is compared with: it makes a map of the whole.
func decodeSlowly(p []byte) (FromClient, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(p, &fields) != nil || fields == nil {
		return FromClient{}, false
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
		return FromClient{Type: Heartbeat}, true
	case "end":
		return FromClient{Type: End}, true
	case "message":
	default:
		return FromClient{}, true
	}
	m := FromClient{Type: Message}
	if n, has := fields["n"]; has {
		if json.Unmarshal(n, &m.N) != nil || string(n) == "null" || m.N < 1 || m.N > 9007199254740992 {
			return FromClient{}, false
		}
	}
	_, hasText := fields["text"]
	_, hasBase64 := fields["base64"]
	s, ok := stringOf("text")
	if hasText == hasBase64 || hasText && !ok {
		return FromClient{}, false
	}
	m.Data = []byte(s)
	if hasBase64 {
		s, ok = stringOf("base64")
		data, err := base64.StdEncoding.DecodeString(s)
		if !ok || err != nil || base64.StdEncoding.EncodeToString(data) != s {
			return FromClient{}, false
		}
		m.Data = data
	}
	return m, true
}

// Whatever a client says is understood as encoding/json does.
func FuzzDecode(f *testing.F) {
	for _, c := range fromClients {
		f.Add([]byte(c.json))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		want, ok := decodeSlowly(bytes.Clone(p))
		got, breach := new(Decoder).Decode(p)
		if (breach == nil) != ok || got.Type != want.Type || got.N != want.N || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%q: %+v, %v; want %+v, %v", p, got, breach, want, ok)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
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
			var d Decoder
			for b.Loop() {
				d.Decode(p)
			}
		})
	}
}
