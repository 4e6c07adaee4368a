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

	"hubbub.example/internal/quantity"
)

// This file is how an entry looks. All text from elsewhere goes through
// style.visible here and nowhere else. A line never begins with what a client
// sent: it begins with the client's ID. (The terminal breaks a long line, so that
// it is copied whole. A client can pad its text so that a row begins as it likes;
// the colour still tells whose row it is.) The console breaks its own lines, and
// those of the log, between words, and indents the rest by two blanks.
//
//	17 ann: hello              a message, in colour as far as the colon
//	12:30:05 17 ann: hello     with /times
//	<ann> hello                a message of a room, in colour as far as the >
//	hubbub: client 17 closed   the log
//	> /kick 17                 what the operator typed
//	operator: hello            the same, as others see it
//	* kicked 17                the answer
//	! no client 18             the failure

const prompt = "> "

// style turns entries into text for the terminal.
type style struct {
	visible func(dst, text []byte) []byte
	colour  bool
}

// Colours, as the numbers that select them (ECMA-48, 8.3.117): from the sixteen
// that each theme makes readable.
const (
	bold    = "1"
	dim     = "2"
	reverse = "7"
	red     = "31"
	yellow  = "33"
	cyan    = "36"
)

// senders are the clients' colours: not the log's, nor a likely background.
var senders = []string{"32", "34", "35", "36", "92", "94", "95", "96"}

// tint is text in a colour.
func (s *style) tint(colour, text string) string {
	if !s.colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[m"
}

// shown is text from elsewhere, safe for one line.
func (s *style) shown(text string) string {
	return string(s.visible(nil, []byte(text)))
}

// longestName is how many cells of a name are shown before a message.
const longestName = 24

// label returns the sender of a message.
func (s *style) label(e *entry) string {
	name := shorten(s.shown(e.name), longestName)
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

// colourOf returns the same for all messages of one client.
func colourOf(e *entry) string {
	n := e.id
	if n == 0 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(e.name))
		n = uint64(h.Sum32())
	}
	return senders[n%uint64(len(senders))]
}

// longestLines is how many lines one entry may take: a WebSocket's message may
// hold thousands of newlines.
const longestLines = 32

// append appends an entry as whole lines for a terminal in raw mode.
func (s *style) append(dst []byte, e *entry, times bool, columns int) []byte {
	head, colour := s.head(e, times)
	rest := e.text
	for n := 1; ; n++ {
		text, more := rest, false
		if n < longestLines {
			text, rest, more = bytes.Cut(rest, []byte("\n"))
		}
		text = bytes.TrimSuffix(text, []byte("\r")) // telnet's
		dst = append(dst, head...)
		switch {
		case e.kind == logged || e.kind == answer || e.kind == failure:
			dst = s.appendWords(dst, e, text, colour, times, columns)
		case s.colour && colour != "":
			dst = append(dst, "\x1b["+colour+"m"...)
			dst = s.visible(dst, text)
			dst = append(dst, "\x1b[m"...)
		case e.kind == typed || e.id != 0 || e.name != "":
			dst = s.visible(dst, text)
		default:
			dst = s.appendOfRoom(dst, text)
		}
		if !more {
			break
		}
		dst = append(dst, "\r\n"...)
	}
	if e.more > 0 {
		dst = append(dst, s.tint(dim, " … "+quantity.Bytes(e.more)+" more")...)
	}
	return append(dst, "\r\n"...)
}

// appendOfRoom appends a message without a sender. In a room the text itself
// names the sender: "<ann> hello".
func (s *style) appendOfRoom(dst, text []byte) []byte {
	begin := len(dst)
	dst = s.visible(dst, text)
	who := speaker.Find(dst[begin:])
	if !s.colour || who == nil {
		return dst
	}
	name := string(who)
	rest := string(dst[begin+len(who):])
	return append(append(dst[:begin], s.tint(colourOf(&entry{name: name}), name)...), rest...)
}

var speaker = regexp.MustCompile(`^<[^<> ]+>`)

// appendWords appends text after an entry's head, broken between words.
func (s *style) appendWords(dst []byte, e *entry, text []byte, colour string, times bool, columns int) []byte {
	before := 0
	if times {
		before = len(time.TimeOnly + " ")
	}
	head, hang := before+mark, before+mark+e.hang
	if e.kind == logged {
		head = before
	}
	rows := wrap(string(s.visible(nil, text)), columns-1-head, columns-1-hang)
	for i, row := range rows {
		if i > 0 {
			dst = append(dst, "\r\n"+strings.Repeat(" ", hang)...)
		}
		dst = append(dst, s.tint(colour, row)...)
	}
	return dst
}

// mark is the width of "* " and "! ", in cells.
const mark = 2

// head returns what precedes each line of an entry, and the colour of the line.
func (s *style) head(e *entry, times bool) (head, colour string) {
	switch e.kind {
	case logged:
		colour = yellow
	case typed:
		head, colour = s.tint(dim, prompt), bold
		if e.name != "" {
			head = s.tint(dim, s.shown(e.name)) + " "
		}
	case answer:
		head = s.tint(cyan, "* ")
	case failure:
		head, colour = s.tint(red, "! "), red
	default:
		if label := s.label(e); label != "" {
			head = s.tint(colourOf(e), label) + " "
		}
	}
	if times || e.kind == remembered {
		head = s.tint(dim, e.at.Format(time.TimeOnly)) + " " + head
	}
	return head, colour
}

// undrawn reports how many messages the terminal was too slow for.
func (s *style) undrawn(dst []byte, n uint64, columns int) []byte {
	text := fmt.Sprintf("… %s skipped: they came faster than the terminal can show", several(n, "message"))
	for i, row := range wrap(text, columns-1, columns-1-mark) {
		if i > 0 {
			row = "  " + row
		}
		dst = append(append(dst, s.tint(dim, row)...), "\r\n"...)
	}
	return dst
}

// several returns a count with its noun.
func several(n uint64, what string) string {
	return quantity.Grouped(n) + " " + quantity.Plural(n, what)
}

// clip cuts text to at most so many bytes, between characters.
func clip(text []byte, most int) (head []byte, more int) {
	if len(text) <= most {
		return text, 0
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], len(text) - most
}
