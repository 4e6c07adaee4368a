package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123_000_000, time.UTC)

// unframed returns the payload of the one whole text frame that p has to be.
func unframed(t testing.TB, p []byte) []byte {
	t.Helper()
	if len(p) < 2 || p[0] != 0x81 {
		t.Fatalf("%.20q begins no text frame", p)
	}
	header, length := 2, int(p[1])
	switch length {
	case 126:
		header, length = 4, int(p[2])<<8|int(p[3])
	case 127:
		header, length = 10, int(p[6])<<24|int(p[7])<<16|int(p[8])<<8|int(p[9])
	}
	if len(p) != header+length {
		t.Fatalf("a frame of %d bytes says it has %d", len(p)-header, length)
	}
	return p[header:]
}

// What the hub says is, byte for byte, what docs/protocol.md shows.
func TestWordsOfTheHub(t *testing.T) {
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{
			AppendHello(nil, Hello{Epoch: "h5x2q9tk", ID: 17, Seq: 4711, Heartbeat: 25, Longest: 1048576}),
			`{"type":"hello","epoch":"h5x2q9tk","id":17,"seq":4711,"heartbeat":25,"longest":1048576,"ack":0}`,
		},
		{
			AppendHello(nil, Hello{Epoch: "h", ID: 1, Missed: 3, Unknown: true, Heartbeat: 1, Longest: 2, Ack: 9}),
			`{"type":"hello","epoch":"h","id":1,"seq":0,"missed":3,"unknown":true,"heartbeat":1,"longest":2,"ack":9}`,
		},
		{AppendNumbered(nil, 4712, noon, By{}, []byte("the message")), `{"type":"message","seq":4712,"time":"2026-11-24T12:00:00.123Z","text":"the message"}`},
		{AppendNumbered(nil, 1, noon, By{}, nil), `{"type":"message","seq":1,"time":"2026-11-24T12:00:00.123Z","text":""}`},
		{AppendNumbered(nil, 1, noon, By{}, []byte("\xff")), `{"type":"message","seq":1,"time":"2026-11-24T12:00:00.123Z","base64":"/w=="}`},
		{AppendSkipped(nil, 12, 4724), `{"type":"skipped","count":12,"seq":4724}`},
		{AppendAck(nil, 3), `{"type":"ack","n":3}`},
		{AppendHeartbeat(nil), `{"type":"heartbeat"}`},
	} {
		if got := unframed(t, c.got); string(got) != c.want {
			t.Errorf("it is\n%s, want\n%s", got, c.want)
		}
	}
}

// The widest numbers there are fit their frame.
func TestWidestWordsOfTheHub(t *testing.T) {
	const most = math.MaxUint64
	epoch := strings.Repeat(`"\`, 100)
	for _, got := range [][]byte{
		AppendHello([]byte(nil), Hello{epoch, most, most, most, true, math.MinInt, 1 << 30, most}),
		AppendNumbered(nil, most, noon, By{}, nil),
		AppendSkipped(nil, math.MinInt64, most),
		AppendAck(nil, most),
	} {
		if p := unframed(t, got); !json.Valid(p) || !bytes.Contains(p, []byte("18446744073709551615")) {
			t.Errorf("it is %s", p)
		}
	}
}

func TestWordsStandBehindWhatIsThere(t *testing.T) {
	for i, got := range [][]byte{
		AppendHello([]byte("before"), Hello{}), AppendNumbered([]byte("before"), 1, noon, By{}, []byte("a")),
		AppendSkipped([]byte("before"), 1, 1), AppendAck([]byte("before"), 1), AppendHeartbeat([]byte("before")),
	} {
		rest, ok := bytes.CutPrefix(got, []byte("before"))
		if !ok || !json.Valid(unframed(t, rest)) {
			t.Errorf("word %d is %q", i, got)
		}
	}
}

// Time is in UTC, and has three decimals, cut and not rounded.
func TestTimeOfAMessage(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05.000Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 1_000_000, time.UTC), "2026-01-02T03:04:05.001Z"},
		{time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC), "2026-12-31T23:59:59.999Z"},
		{time.Date(7, 10, 11, 12, 13, 14, 0, time.UTC), "0007-10-11T12:13:14.000Z"},
		{time.Date(9999, 9, 9, 9, 9, 9, 90_000_000, time.UTC), "9999-09-09T09:09:09.090Z"},
		{time.Date(2026, 1, 1, 1, 0, 0, 100_000_000, time.FixedZone("", 7200)), "2025-12-31T23:00:00.100Z"},
	} {
		var word struct{ Time string }
		if err := json.Unmarshal(unframed(t, AppendNumbered(nil, 1, c.at, By{}, nil)), &word); err != nil || word.Time != c.want {
			t.Errorf("%v is %q (%v), want %q", c.at, word.Time, err, c.want)
		}
	}
}

// A byte that has to be escaped is found wherever it stands, and nothing
// else is changed.
func TestEveryByteOfAMessageIsItself(t *testing.T) {
	const plain = "0123456789abcdefghi"
	for b := range utf8.RuneSelf {
		quoted := strconv.Quote(string(rune(b)))
		switch {
		case b == '"' || b == '\\' || strings.ContainsRune("\b\t\n\f\r", rune(b)):
			quoted = quoted[1 : len(quoted)-1]
		case b < ' ':
			quoted = fmt.Sprintf(`\u%04x`, b)
		default:
			quoted = string(rune(b))
		}
		for at := range len(plain) + 1 {
			message := plain[:at] + string(rune(b)) + plain[at:]
			want := fmt.Sprintf(`{"type":"message","seq":1,"time":"2026-11-24T12:00:00.123Z","text":"%s%s%s"}`, plain[:at], quoted, plain[at:])
			if got := unframed(t, AppendNumbered(nil, 1, noon, By{}, []byte(message))); string(got) != want {
				t.Fatalf("%q is\n%s, want\n%s", message, got, want)
			}
		}
	}
}

// The frame's header is as long as the JSON needs, whatever the message is.
func TestLengthsOfNumberedMessages(t *testing.T) {
	overhead := len(unframed(t, AppendNumbered(nil, 1, noon, By{}, nil)))
	for _, n := range []int{125, 126, 127, 65535, 65536} {
		for _, unit := range []string{"a", "\n", "\x01"} {
			message := strings.Repeat(unit, (n-overhead)/len(unit))
			for len(message)+overhead < n+5 {
				var word struct{ Text string }
				p := unframed(t, AppendNumbered(nil, 1, noon, By{}, []byte(message)))
				if err := json.Unmarshal(p, &word); err != nil || word.Text != message {
					t.Fatalf("%d of %q: %v", len(message), unit, err)
				}
				message += unit
			}
		}
	}
}

// However odd, a message arrives: as valid JSON, in text just if it is UTF-8.
func FuzzNumbered(f *testing.F) {
	for _, s := range []string{"", "hello", `say "hi" \o/`, "a\x00b\x1f", "é\u2028<>&", "\xff\xfe", "1234567\xc3", "12345678\n", "\x7f"} {
		f.Add(uint64(4712), int64(1795953600123456789), []byte(s))
	}
	f.Fuzz(func(t *testing.T, seq uint64, nanos int64, message []byte) {
		at := time.Unix(0, nanos)
		p := unframed(t, AppendNumbered(nil, seq, at, By{}, message))
		if !utf8.Valid(p) {
			t.Fatalf("%q is not UTF-8", p)
		}
		var word struct {
			Type   string
			Seq    uint64
			Time   time.Time
			Text   *string
			Base64 *[]byte
		}
		d := json.NewDecoder(bytes.NewReader(p))
		d.DisallowUnknownFields()
		if err := d.Decode(&word); err != nil || d.More() {
			t.Fatalf("%s: %v", p, err)
		}
		if since := at.Sub(word.Time); word.Type != "message" || word.Seq != seq || since < 0 || since >= time.Millisecond {
			t.Errorf("%s, want seq %d and time %v", p, seq, at)
		}
		switch {
		case utf8.Valid(message):
			if word.Base64 != nil || word.Text == nil || *word.Text != string(message) {
				t.Errorf("%q is %s", message, p)
			}
		case word.Text != nil || word.Base64 == nil || !bytes.Equal(*word.Base64, message):
			t.Errorf("%q is %s", message, p)
		}
	})
}

// A million a second leaves no room for the heap.
func TestNumberingAllocatesNothing(t *testing.T) {
	for _, message := range []string{"hello, world", "a \"quoted\"\tone", "\xff"} {
		dst, p := make([]byte, 0, 1000), []byte(message)
		if n := testing.AllocsPerRun(100, func() { AppendNumbered(dst, 4712, noon, By{}, p) }); n != 0 {
			t.Errorf("%q: %v allocations", message, n)
		}
	}
}

func BenchmarkAppendNumbered(b *testing.B) {
	for _, c := range []struct{ name, message string }{
		{"plain 16", strings.Repeat("a", 16)},
		{"plain 100", strings.Repeat("a", 100)},
		{"plain 1000", strings.Repeat("a", 1000)},
		{"escaped 100", strings.Repeat("aaaaaaaa\"\n", 10)},
		{"UTF-8 100", strings.Repeat("aaaaaaaaé", 10)},
		{"base64 100", strings.Repeat("aaaaaaaaa\xff", 10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var dst []byte
			message := []byte(c.message)
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendNumbered(dst[:0], 4712, noon, By{}, message)
			}
		})
	}
}
