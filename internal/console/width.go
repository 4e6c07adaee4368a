package console

import "strings"

// This file cuts text to the cells of a terminal. Terminals do not agree on how
// wide a character is, so little depends on it: a line may be filled badly, but
// paint.go never lets it wrap.

// width measures the first character of a text: its bytes and its cells.
type width func(text string) (size, cells int)

// cells is how many cells text takes.
func (next width) cells(text string) int {
	total := 0
	for len(text) > 0 {
		size, cells := next(text)
		total += cells
		text = text[size:]
	}
	return total
}

// cut splits text so that head takes at most so many cells.
func (next width) cut(text string, cells int) (head, tail string) {
	at := 0
	for at < len(text) {
		size, n := next(text[at:])
		if cells -= n; cells < 0 {
			break
		}
		at += size
	}
	return text[:at], text[at:]
}

// fit pads or cuts text to exactly so many cells. A cut is marked.
func (next width) fit(text string, cells int) string {
	w := next.cells(text)
	if w > cells {
		text, _ = next.cut(text, cells-1)
		text += "…"
		w = next.cells(text)
	}
	return text + strings.Repeat(" ", max(0, cells-w))
}

// shorten cuts text to at most so many cells. A cut is marked.
func (next width) shorten(text string, cells int) string {
	if next.cells(text) <= cells {
		return text
	}
	text, _ = next.cut(text, max(0, cells-1))
	return text + "…"
}

// wrap breaks text at blanks into rows of at most so many cells; the first row
// has its own limit. It leaves a word that is longer than a row to the terminal.
// Without any room the text is one row.
func (next width) wrap(text string, first, others int) []string {
	text = strings.TrimRight(text, " ")
	var rows []string
	for room := first; others > 0; room = others {
		head, tail := next.cut(text, room)
		if tail == "" {
			break
		}
		end := strings.LastIndexByte(text[:len(head)+1], ' ')
		if strings.Trim(text[:max(0, end)], " ") == "" { // not even one word fits
			word := len(text) - len(strings.TrimLeft(text, " "))
			end = strings.IndexByte(text[word:], ' ') + word
			if end < word {
				break
			}
		}
		rows = append(rows, strings.TrimRight(text[:end], " "))
		text = strings.TrimLeft(text[end:], " ")
	}
	return append(rows, text)
}

// before is the start of the character that ends at byte at.
func (next width) before(text string, at int) int {
	i := 0
	for {
		size, _ := next(text[i:])
		if i+size >= at || size == 0 {
			return i
		}
		i += size
	}
}
