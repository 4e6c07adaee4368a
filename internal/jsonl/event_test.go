package jsonl

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// The fields are those of docs/protocol.md, in its order.
func TestEventsReadAsPromised(t *testing.T) {
	for _, c := range []struct {
		is   Event
		want string
	}{
		{
			Event{Type: "join", Time: noon, ID: 17, Addr: "192.0.2.7:5123", Protocol: "raw"},
			`{"type":"join","time":"2026-11-24T12:00:00.000000000Z","id":17,"addr":"192.0.2.7:5123","protocol":"raw"}`,
		},
		{
			Event{Type: "message", Time: noon.Add(1), ID: 18, Name: "ann", Addr: "unix", Protocol: "raw", Data: []byte("hello"), Reason: "no"},
			`{"type":"message","time":"2026-11-24T12:00:00.000000001Z","id":18,"name":"ann","addr":"unix","text":"hello"}`,
		},
		{
			Event{Type: "message", Time: noon.In(time.FixedZone("", 7200)), ID: 18446744073709551615, Addr: "unix"},
			`{"type":"message","time":"2026-11-24T12:00:00.000000000Z","id":18446744073709551615,"addr":"unix","text":""}`,
		},
		{
			Event{Type: "message", Time: noon, ID: 1, Addr: "unix", Data: []byte("a\xff\x00")},
			`{"type":"message","time":"2026-11-24T12:00:00.000000000Z","id":1,"addr":"unix","base64":"Yf8A"}`,
		},
		{
			Event{Type: "leave", Time: noon, ID: 1, Addr: "unix", Data: []byte("no"), Code: "done", Reason: ""},
			`{"type":"leave","time":"2026-11-24T12:00:00.000000000Z","id":1,"addr":"unix","code":"done","reason":""}`,
		},
		{
			Event{Type: "leave", Time: noon, ID: 1, Name: "a\"b\xff", Addr: "unix", Code: "kicked", Reason: "\xff\n\u2028"},
			`{"type":"leave","time":"2026-11-24T12:00:00.000000000Z","id":1,"name":"a\"b` + "\ufffd" + `","addr":"unix","code":"kicked","reason":"` + "\ufffd" + `\n\u2028"}`,
		},
	} {
		if got := string(AppendEvent([]byte("before\n"), &c.is)); got != "before\n"+c.want+"\n" {
			t.Errorf("it is\n%s, want\n%s", got, c.want)
		}
	}
}

// An event is one line for every program, whatever the program takes for the end
// of a line.
func TestAnEventIsOneLineForEverybody(t *testing.T) {
	const ends = "\n\v\f\r\x1c\x1d\x1e\u0085\u2028\u2029" // those of Python's str.splitlines
	e := Event{Type: "message", Name: ends, Addr: ends, Data: []byte("a" + ends + ends + "é")}
	line := string(AppendEvent(nil, &e))
	if i := strings.IndexAny(line, ends); i != len(line)-1 {
		t.Errorf("%q ends at %d", line, i)
	}
	var back struct{ Name, Addr, Text string }
	if err := json.Unmarshal([]byte(line), &back); err != nil || back.Name != ends || back.Addr != ends || back.Text != string(e.Data) {
		t.Errorf("%q is %+v (%v)", line, back, err)
	}
}

// A hundred thousand events per second must not allocate.
func TestAnEventAllocatesNothing(t *testing.T) {
	for _, message := range []string{"hello, world", "a \"quoted\"\té", "\xff"} {
		dst := make([]byte, 0, 1000)
		e := Event{Type: "message", Time: noon, ID: 17, Name: "ann", Addr: "192.0.2.7:5123", Data: []byte(message)}
		if n := testing.AllocsPerRun(100, func() { AppendEvent(dst, &e) }); n != 0 {
			t.Errorf("%q: %v allocations", message, n)
		}
	}
}

// Whatever clients send, an event is one line of UTF-8 that holds it.
func FuzzEvent(f *testing.F) {
	for _, s := range []string{"", "hello", `say "hi" \o/`, "a\x00b\x1f", "é\u2028<>&", "\xff\xfe", "\u0085\u2029", "\xed\xa0\x80"} {
		f.Add("message", int64(1795953600123456789), uint64(17), "ann", []byte(s))
		f.Add("leave", int64(0), uint64(1), s, []byte(s))
		f.Add("join", int64(-1), uint64(1)<<63, "", []byte(s))
	}
	f.Fuzz(func(t *testing.T, kind string, nanos int64, id uint64, name string, data []byte) {
		if kind != "message" && kind != "join" && kind != "leave" {
			return
		}
		text := string(data)
		e := Event{Type: kind, Time: time.Unix(0, nanos), ID: id, Name: name, Addr: text, Protocol: text, Data: data, Code: text, Reason: text}
		line := AppendEvent(nil, &e)
		if !utf8.Valid(line) || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("%q is no line of UTF-8", line)
		}
		var got struct {
			Type                 string
			Time                 time.Time
			ID                   uint64
			Name, Addr, Protocol string
			Code, Reason         string
			Text                 *string
			Base64               *[]byte
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		valid := func(s string, is bool) string { // each byte that is not UTF-8 is U+FFFD
			if !is {
				return ""
			}
			return string([]rune(s))
		}
		if got.Type != kind || !got.Time.Equal(e.Time) || got.ID != id || got.Name != valid(name, true) || got.Addr != valid(text, true) ||
			got.Protocol != valid(text, kind == "join") || got.Code != valid(text, kind == "leave") || got.Reason != got.Code {
			t.Errorf("%s, want %+v", line, e)
		}
		isText := kind == "message" && utf8.Valid(data)
		if isText != (got.Text != nil) || isText && *got.Text != text {
			t.Errorf("%s, want the text %q", line, data)
		}
		if opaque := kind == "message" && !isText; opaque != (got.Base64 != nil) || opaque && !bytes.Equal(*got.Base64, data) {
			t.Errorf("%s, want the bytes %q", line, data)
		}
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	for _, c := range []struct{ name, message string }{
		{"plain 12", "hello, world"},
		{"plain 100", strings.Repeat("abcdefghi ", 10)},
		{"UTF-8 100", strings.Repeat("abcdefghé", 10)},
		{"base64 100", strings.Repeat("abcdefghi\xff", 10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := Event{Type: "message", Time: noon, ID: 17, Name: "ann", Addr: "192.0.2.7:5123", Data: []byte(c.message)}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendEvent(dst[:0], &e)
			}
		})
	}
}
