package codec

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"hubbub.example/internal/proto"
)

func TestEventsAreThoseOfTheProtocol(t *testing.T) {
	for _, c := range []struct {
		what string
		got  []byte
		want string
	}{
		{"a message", AppendEvent([]byte("before"), "h5x2q9tk", 4712, []byte("the message")), "id: h5x2q9tk-4712\ndata: the message\n\n"},
		{"no bytes", AppendEvent([]byte("before"), "h5", 1, nil), "id: h5-1\ndata: \n\n"},
		{"a space in front", AppendEvent([]byte("before"), "h5", 1, []byte(" a")), "id: h5-1\ndata:  a\n\n"},
		{"LF", AppendEvent([]byte("before"), "h5", 1, []byte("a\nb")), "id: h5-1\ndata: a\ndata: b\n\n"},
		{"CR", AppendEvent([]byte("before"), "h5", 1, []byte("a\rb")), "id: h5-1\ndata: a\ndata: b\n\n"},
		{"CRLF", AppendEvent([]byte("before"), "h5", 1, []byte("a\r\nb")), "id: h5-1\ndata: a\ndata: b\n\n"},
		{"LFCR", AppendEvent([]byte("before"), "h5", 1, []byte("a\n\rb")), "id: h5-1\ndata: a\ndata: \ndata: b\n\n"},
		{"CRCRLF", AppendEvent([]byte("before"), "h5", 1, []byte("a\r\r\nb")), "id: h5-1\ndata: a\ndata: \ndata: b\n\n"},
		{"CR at the end", AppendEvent([]byte("before"), "h5", 1, []byte("a\r")), "id: h5-1\ndata: a\ndata: \n\n"},
		{"LF alone", AppendEvent([]byte("before"), "h5", 1, []byte("\n")), "id: h5-1\ndata: \ndata: \n\n"},
		{"what looks like a field", AppendEvent([]byte("before"), "h5", 1, []byte("a\n\nid: x")), "id: h5-1\ndata: a\ndata: \ndata: id: x\n\n"},
		{"not UTF-8", AppendEvent([]byte("before"), "h5", 1, []byte("a\xff\xfeé\xc3")), "id: h5-1\ndata: a\uFFFD\uFFFDé\uFFFD\n\n"},
		{"the last seq", AppendEvent([]byte("before"), "h5", math.MaxUint64, []byte("a")), "id: h5-18446744073709551615\ndata: a\n\n"},
		{"skipped", AppendSkippedEvent([]byte("before"), 12), ": skipped 12 messages\nevent: skipped\ndata: 12\n\n"},
		{"skipped one", AppendSkippedEvent([]byte("before"), 1), ": skipped 1 message\nevent: skipped\ndata: 1\n\n"},
		{"unknown", AppendUnknownEvent([]byte("before"), "old-4711"), ": unknown resume point\nevent: unknown\ndata: old-4711\n\n"},
		{"unknown, and a trick", AppendUnknownEvent([]byte("before"), "a\n\nid: b"), ": unknown resume point\nevent: unknown\ndata: a\ndata: \ndata: id: b\n\n"},
		{"a heartbeat", AppendHeartbeatComment([]byte("before")), ":\n\n"},
	} {
		if string(c.got) != "before"+c.want {
			t.Errorf("%s is %q, want %q", c.what, c.got, c.want)
		}
	}
}

// event is what an EventSource gives to its page.
type event struct{ id, kind, data string }

// eventsOf reads a stream as the HTML standard says (section 9.2.6).
func eventsOf(stream string) []event {
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	var events []event
	var e event
	data := ""
	for line := range strings.SplitSeq(stream, "\n") {
		if line == "" {
			if data != "" {
				e.data = strings.TrimSuffix(data, "\n")
				events = append(events, e)
			}
			data, e.kind = "", "" // the last id stays
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			data += value + "\n"
		}
	}
	return events
}

// A browser gets each message, with newlines for all that end a line, and
// notices do not move its resume point.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"", "a", " a", "a\nb\r\nc\rd", "\n", "\r", "\r\n", "id: x\n\n", "\xff\r\xc3", "é\u2028"} {
		f.Add("h5", uint64(4711), int64(12), []byte(s))
	}
	f.Fuzz(func(t *testing.T, epoch string, seq uint64, count int64, message []byte) {
		if !proto.ValidEpoch(epoch) {
			return
		}
		stream := AppendEvent(nil, epoch, seq, message)
		stream = AppendHeartbeatComment(stream)
		stream = AppendSkippedEvent(stream, count)
		stream = AppendUnknownEvent(stream, string(message))
		id := fmt.Sprintf("%s-%d", epoch, seq)
		said := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string([]rune(string(message))))
		want := []event{{id, "", said}, {id, "skipped", fmt.Sprint(count)}, {id, "unknown", said}}
		if got := eventsOf(string(stream)); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%q gives %q, want %q", stream, got, want)
		}
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	message := bytes.Repeat([]byte("a"), 100)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendEvent(dst[:0], "h5x2q9tk", 4711, message)
	}
}
