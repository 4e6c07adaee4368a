package join

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
)

// Out is the format of STDOUT.
type Out string

const (
	Plain  Out = "plain"  // the message
	Tagged Out = "tagged" // the sender, a tab, the message
	JSON   Out = "json"   // one object per line, also for missing messages
)

// nobody is the tag of messages whose sender is unknown or no client.
const nobody = "-"

// render appends a message to b.
func (o Out) render(b *bytes.Buffer, frame framing.Framing, m *serverMessage) {
	data := m.data()
	switch o {
	case Tagged:
		tag := m.sender() + "\t"
		if frame == framing.Lines { // each line of it is one on STDOUT
			data = bytes.ReplaceAll(data, []byte("\n"), []byte("\n"+tag))
		}
		b.WriteString(tag)
	case JSON:
		m.renderJSON(b)
		return
	}
	b.Write(data)
	b.Write(frame.Separator())
}

// sender returns the sender's name or number.
func (s *serverMessage) sender() string {
	switch {
	case s.Name != "":
		return strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return unicode.ReplacementChar
			}
			return r
		}, s.Name)
	case s.ID != nil:
		return strconv.FormatUint(*s.ID, 10)
	}
	return nobody
}

// renderJSON appends a message as one line of JSON.
func (s *serverMessage) renderJSON(b *bytes.Buffer) {
	p := append(b.AvailableBuffer(), `{"type":"message",`...)
	if s.Seq > 0 {
		p = append(strconv.AppendUint(append(p, `"seq":`...), s.Seq, 10), ',')
	}
	if s.Time != "" {
		p = append(proto.AppendString(append(p, `"time":`...), s.Time), ',')
	}
	if s.Type == proto.Private {
		p = append(p, `"private":true,`...)
	}
	if s.ID != nil {
		p = append(strconv.AppendUint(append(p, `"id":`...), *s.ID, 10), ',')
	}
	if s.Name != "" {
		p = append(proto.AppendString(append(p, `"name":`...), s.Name), ',')
	}
	b.Write(append(proto.AppendData(p, s.data()), "}\n"...))
}

// notice appends, for JSON only, that count messages up to at are missing.
func (o Out) notice(b *bytes.Buffer, kind string, count uint64, at proto.Point) {
	if o != JSON {
		return
	}
	b.WriteString(`{"type":"` + kind + `"`)
	if count > 0 {
		b.WriteString(`,"count":` + strconv.FormatUint(count, 10))
	}
	b.WriteString(`,"epoch":"` + at.Epoch + `","seq":` + strconv.FormatUint(at.Seq, 10) + "}\n")
}

// arrived makes a message of which only the time is known.
func arrived(data []byte, at time.Time) *serverMessage {
	return &serverMessage{Base64: &data, Time: at.UTC().Format(jsonTime)}
}

// jsonTime is RFC 3339 with all nine digits, so that it sorts as text.
const jsonTime = "2006-01-02T15:04:05.000000000Z07:00"
