package console

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"hubbub.example/internal/visible"
)

// line is the line being typed and its cursor. It knows no keys and no terminal.
type line struct {
	text string
	at   int    // bytes before the cursor
	kept string // what was cut last, for yank
}

func (l *line) set(text string)  { l.text, l.at = text, len(text) }
func (l *line) before() string   { return l.text[:l.at] }
func (l *line) after() string    { return l.text[l.at:] }
func (l *line) insert(s string)  { l.text, l.at = l.before()+s+l.after(), l.at+len(s) }
func (l *line) home()            { l.at = 0 }
func (l *line) end()             { l.at = len(l.text) }
func (l *line) left()            { l.at = previous(l.text, l.at) }
func (l *line) wordLeft()        { l.at = wordStart(l.text, l.at) }
func (l *line) wordRight()       { l.at = wordEnd(l.text, l.at) }
func (l *line) yank()            { l.insert(l.kept) }
func (l *line) cutToEnd()        { l.cut(l.at, len(l.text)) }
func (l *line) cutToStart()      { l.cut(0, l.at) }
func (l *line) cutWordRight()    { l.cut(l.at, wordEnd(l.text, l.at)) }
func (l *line) cutWordLeft()     { l.cut(wordStart(l.text, l.at), l.at) }
func (l *line) cutArgumentLeft() { l.cut(argumentStart(l.text, l.at), l.at) }

func (l *line) right() {
	if size, _ := visible.Next(l.after()); size > 0 {
		l.at += size
	}
}

func (l *line) backspace() { l.remove(previous(l.text, l.at), l.at) }

func (l *line) delete() {
	size, _ := visible.Next(l.after())
	l.remove(l.at, l.at+size)
}

// replace replaces the n bytes before the cursor by word.
func (l *line) replace(n int, word string) {
	l.remove(l.at-n, l.at)
	if strings.HasSuffix(word, " ") && strings.HasPrefix(l.after(), " ") {
		word = strings.TrimSuffix(word, " ")
	}
	l.insert(word)
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

// wordStart and wordEnd are the ends of a word of letters and digits;
// argumentStart is that of a word between blanks, as for ^W in a shell.
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

// view fits the line into so many cells, in two parts with the cursor between
// them. A long line scrolls by half the width, so that it does not move with every
// key.
func (l *line) view(shown func(string) string, cells int) (before, after string) {
	before, after = shown(l.before()), shown(l.after())
	if cells < 4 {
		return "", ""
	}
	room := cells - 1 // the cursor may be after the end
	if w := cellsOf(before); w >= room {
		half := room / 2
		_, before = cut(before, ((w-room)/half+1)*half)
		before = "<" + before
	}
	room -= cellsOf(before)
	if cellsOf(after) > room {
		after, _ = cut(after, max(0, room-1))
		after += ">"
	}
	return before, after
}

// history is the entered lines and a search among them. The search finds lines that
// begin with the text that was on the line when it began.
type history struct {
	entered []string
	at      int // the entry shown; len(entered): none, the draft
	draft   string
}

// remembers is how many lines are kept.
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

// leave ends the search; the next one begins at the newest line.
func (h *history) leave() { h.at = len(h.entered) }

// up finds the next older line.
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

// down finds the next newer line, and finally the draft.
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

// pasted splits a paste into lines. A terminal sends a newline as a carriage
// return.
func pasted(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	return strings.Split(strings.ToValidUTF8(text, string(utf8.RuneError)), "\n")
}
