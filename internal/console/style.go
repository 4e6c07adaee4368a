package console

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// This file is how an entry looks. Whatever somebody else said goes through
// Options.Visible here, and through nothing else. What a client says never
// stands at the beginning of a line: its id does. (The rest of a long line is
// the terminal's to break, so that it can be copied whole. Colour tells whose a
// row is that blanks have brought to a beginning.) What the console says, and the
// log, is broken between words, and goes on behind two blanks.
//
//	17 ann: hello              a message, in colour as far as the colon
//	12:30:05 17 ann: hello     with /times
//	<ann> hello                what a room says, in colour as far as the >
//	hubbub: client 17 closed   the log
//	> /kick 17                 what the operator typed
//	operator: hello            the same, as others see it
//	* kicked 17                what came of it
//	! there is no client 18    or did not

// look knows how to make entries look.
type look struct {
	visible func(dst, text []byte) []byte
	next    ruler
	colour  bool
	prompt  string
}

// Colours, as the numbers that select them (ECMA-48, 8.3.117): of the sixteen
// that everybody's theme has made readable.
const (
	bold    = "1"
	dim     = "2"
	reverse = "7"
	red     = "31"
	yellow  = "33"
	cyan    = "36"
)

// senders are neither the log's colours, nor what may be the background.
var senders = []string{"32", "34", "35", "36", "92", "94", "95", "96"}

// tint is text in a colour.
func (l *look) tint(colour, text string) string {
	if !l.colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[m"
}

// shown is what somebody else said, fit for a line.
func (l *look) shown(text string) string {
	return string(l.visible(nil, []byte(text)))
}

// longestName is how many cells of a name stand before a message.
const longestName = 24

// label says whose message it is.
func (l *look) label(e *entry) string {
	name := l.next.shorten(l.shown(e.name), longestName)
	switch {
	case e.id == 0 && name == "":
		return ""
	case e.id == 0:
		return name + ":"
	case name == "":
		return strconv.FormatUint(e.id, 10) + ":"
	}
	return strconv.FormatUint(e.id, 10) + " " + name + ":"
}

// colourOf is the same for all that one client says.
func colourOf(e *entry) string {
	n := e.id
	if n == 0 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(e.name))
		n = uint64(h.Sum32())
	}
	return senders[n%uint64(len(senders))]
}

// longestLines is how many lines one entry may take: a message is of one line,
// but a WebSocket's may hold thousands of newlines.
const longestLines = 32

// append appends an entry as whole lines, each ended as a raw terminal of so
// many columns wants it.
func (l *look) append(dst []byte, e *entry, times bool, columns int) []byte {
	head, colour := l.head(e, times)
	rest := e.text
	for n := 1; ; n++ {
		text, more := rest, false
		if n < longestLines {
			text, rest, more = bytes.Cut(rest, []byte("\n"))
		}
		text = bytes.TrimSuffix(text, []byte("\r")) // telnet's
		dst = append(dst, head...)
		switch {
		case e.kind == fromLog || e.kind == answer || e.kind == failure:
			dst = l.appendWords(dst, e, text, colour, times, columns)
		case l.colour && colour != "":
			dst = append(dst, "\x1b["+colour+"m"...)
			dst = l.visible(dst, text)
			dst = append(dst, "\x1b[m"...)
		case e.kind == typed || e.id != 0 || e.name != "":
			dst = l.visible(dst, text)
		default:
			dst = l.appendOfRoom(dst, text)
		}
		if !more {
			break
		}
		dst = append(dst, "\r\n"...)
	}
	if e.more > 0 {
		dst = append(dst, l.tint(dim, " … "+bytesOf(int64(e.more))+" more")...)
	}
	return append(dst, "\r\n"...)
}

// appendOfRoom appends what nobody is known to have said: in a room the text
// itself says who has, as "<ann> hello".
func (l *look) appendOfRoom(dst, text []byte) []byte {
	begin := len(dst)
	dst = l.visible(dst, text)
	who := speaker.Find(dst[begin:])
	if !l.colour || who == nil {
		return dst
	}
	name := string(who)
	rest := string(dst[begin+len(who):])
	return append(append(dst[:begin], l.tint(colourOf(&entry{name: name}), name)...), rest...)
}

var speaker = regexp.MustCompile(`^<[^<> ]+>`)

// appendWords appends text, broken between words, behind an entry's head.
func (l *look) appendWords(dst []byte, e *entry, text []byte, colour string, times bool, columns int) []byte {
	before := 0
	if times {
		before = len(time.TimeOnly + " ")
	}
	head, hang := before+mark, before+mark+e.hang
	if e.kind == fromLog {
		head = before
	}
	rows := l.next.wrap(string(l.visible(nil, text)), columns-1-head, columns-1-hang)
	for i, row := range rows {
		if i > 0 {
			dst = append(dst, "\r\n"+strings.Repeat(" ", hang)...)
		}
		dst = append(dst, l.tint(colour, row)...)
	}
	return dst
}

// mark is how many cells "* " and "! " take.
const mark = 2

// head is what stands before each line of an entry, and the colour of what
// stands behind it.
func (l *look) head(e *entry, times bool) (head, colour string) {
	switch e.kind {
	case fromLog:
		colour = yellow
	case typed:
		head, colour = l.tint(dim, l.prompt), bold
		if e.name != "" {
			head = l.tint(dim, l.shown(e.name)) + " "
		}
	case answer:
		head = l.tint(cyan, "* ")
	case failure:
		head, colour = l.tint(red, "! "), red
	default:
		if label := l.label(e); label != "" {
			head = l.tint(colourOf(e), label) + " "
		}
	}
	if times || e.kind == remembered {
		head = l.tint(dim, e.at.Format(time.TimeOnly)) + " " + head
	}
	return head, colour
}

// undrawn says how many messages the terminal was too slow for.
func (l *look) undrawn(dst []byte, n uint64, columns int) []byte {
	text := fmt.Sprintf("… %s not drawn: more came than can be shown", several(n, "message"))
	for i, row := range l.next.wrap(text, columns-1, columns-1-mark) {
		if i > 0 {
			row = "  " + row
		}
		dst = append(append(dst, l.tint(dim, row)...), "\r\n"...)
	}
	return dst
}

// several is n of something.
func several(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return countOf(n) + " " + what + "s"
}

// countOf is n with its thousands set apart.
func countOf(n uint64) string {
	s := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// bytesOf is n as people say it.
func bytesOf(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n)/1024, 0
	for f >= 999.5 && unit < 5 {
		f, unit = f/1024, unit+1
	}
	if f < 9.95 {
		return strconv.FormatFloat(f, 'f', 1, 64) + " " + "KMGTPE"[unit:unit+1] + "iB"
	}
	return strconv.FormatFloat(f, 'f', 0, 64) + " " + "KMGTPE"[unit:unit+1] + "iB"
}

// clip is the beginning of a message: at most so many bytes, whole characters.
func clip(text []byte, most int) (head []byte, more int) {
	if len(text) <= most {
		return text, 0
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], len(text) - most
}
