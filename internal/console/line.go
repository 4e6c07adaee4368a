package console

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// line is the line being typed: a text and where the cursor stands in it. It
// knows no keys and no terminal.
type line struct {
	next ruler
	text string
	at   int    // bytes before the cursor
	kept string // what was cut last, for paste
}

func (l *line) set(text string)  { l.text, l.at = text, len(text) }
func (l *line) before() string   { return l.text[:l.at] }
func (l *line) after() string    { return l.text[l.at:] }
func (l *line) insert(s string)  { l.text, l.at = l.before()+s+l.after(), l.at+len(s) }
func (l *line) home()            { l.at = 0 }
func (l *line) end()             { l.at = len(l.text) }
func (l *line) left()            { l.at = l.next.before(l.text, l.at) }
func (l *line) wordLeft()        { l.at = wordStart(l.text, l.at) }
func (l *line) wordRight()       { l.at = wordEnd(l.text, l.at) }
func (l *line) yank()            { l.insert(l.kept) }
func (l *line) cutToEnd()        { l.cut(l.at, len(l.text)) }
func (l *line) cutToStart()      { l.cut(0, l.at) }
func (l *line) cutWordRight()    { l.cut(l.at, wordEnd(l.text, l.at)) }
func (l *line) cutWordLeft()     { l.cut(wordStart(l.text, l.at), l.at) }
func (l *line) cutArgumentLeft() { l.cut(argumentStart(l.text, l.at), l.at) }

func (l *line) right() {
	if size, _ := l.next(l.after()); size > 0 {
		l.at += size
	}
}

func (l *line) backspace() { l.remove(l.next.before(l.text, l.at), l.at) }

func (l *line) delete() {
	size, _ := l.next(l.after())
	l.remove(l.at, l.at+size)
}

func (l *line) remove(from, to int) {
	l.text, l.at = l.text[:from]+l.text[to:], from
}

func (l *line) cut(from, to int) {
	if from < to {
		l.kept = l.text[from:to]
		l.remove(from, to)
	}
}

// wordStart and wordEnd are where a word, of letters and digits, begins and
// ends; argumentStart knows nothing but blanks, as ^W in a shell.
func wordStart(text string, at int) int {
	head := strings.TrimRightFunc(text[:at], notOfWord)
	return len(strings.TrimRightFunc(head, ofWord))
}

func wordEnd(text string, at int) int {
	tail := strings.TrimLeftFunc(text[at:], notOfWord)
	return len(text) - len(strings.TrimLeftFunc(tail, ofWord))
}

func argumentStart(text string, at int) int {
	head := strings.TrimRightFunc(text[:at], unicode.IsSpace)
	return len(strings.TrimRightFunc(head, func(r rune) bool { return !unicode.IsSpace(r) }))
}

func ofWord(r rune) bool    { return unicode.In(r, unicode.Letter, unicode.Digit, unicode.Mark) }
func notOfWord(r rune) bool { return !ofWord(r) }

// view is the line in so many cells, in two parts with the cursor between
// them. A line that is too long is shown from a multiple of half the cells on,
// so that it does not move with every key.
func (l *line) view(shown func(string) string, cells int) (before, after string) {
	before, after = shown(l.before()), shown(l.after())
	if cells < 4 {
		return "", ""
	}
	room := cells - 1 // the cursor may stand behind the end
	if w := l.next.width(before); w >= room {
		half := room / 2
		_, before = l.next.cut(before, ((w-room)/half+1)*half)
		before = "<" + before
	}
	room -= l.next.width(before)
	if l.next.width(after) > room {
		after, _ = l.next.cut(after, max(0, room-1))
		after += ">"
	}
	return before, after
}

// history is what was entered, and where in it somebody stands who looks for
// something. What stood on the line when the search began selects: only what
// begins so is found.
type history struct {
	entered []string
	at      int // len(entered): at no entry, but at what is being typed
	draft   string
}

// remembers is how many lines; they are a person's, so they are short.
const remembers = 500

func (h *history) add(text string) {
	if n := len(h.entered); text != "" && (n == 0 || h.entered[n-1] != text) {
		h.entered = append(h.entered, text)
	}
	if extra := len(h.entered) - remembers; extra > 0 {
		h.entered = append(h.entered[:0], h.entered[extra:]...)
	}
	h.leave()
}

// leave ends a search: the next one begins at the newest.
func (h *history) leave() { h.at = len(h.entered) }

// up is the next older line for what is being typed.
func (h *history) up(now string) (string, bool) {
	if h.at == len(h.entered) {
		h.draft = now
	}
	for i := h.at - 1; i >= 0; i-- {
		if strings.HasPrefix(h.entered[i], h.draft) && h.entered[i] != now {
			h.at = i
			return h.entered[i], true
		}
	}
	return now, false
}

// down is the next newer one, and in the end what was being typed.
func (h *history) down(now string) (string, bool) {
	if h.at == len(h.entered) {
		return now, false
	}
	for i := h.at + 1; i < len(h.entered); i++ {
		if strings.HasPrefix(h.entered[i], h.draft) && h.entered[i] != now {
			h.at = i
			return h.entered[i], true
		}
	}
	h.leave()
	return h.draft, true
}

// pasted is what a paste makes of the line: whole lines, and nothing else if
// there is just one. A terminal sends a newline as a carriage return.
func pasted(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	return strings.Split(strings.ToValidUTF8(text, string(utf8.RuneError)), "\n")
}
