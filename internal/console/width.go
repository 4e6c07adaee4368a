package console

import "strings"

// This file cuts text to the cells of a terminal. Terminals do not agree on
// how wide a character is, so no more depends on it than how well a line is
// filled: paint.go does not let a line that turns out longer wrap.

// ruler knows how long the first character of a text is, and how wide.
type ruler func(text string) (size, cells int)

// width is how many cells text takes.
func (next ruler) width(text string) int {
	total := 0
	for len(text) > 0 {
		size, cells := next(text)
		total += cells
		text = text[size:]
	}
	return total
}

// cut splits text so that head takes at most so many cells.
func (next ruler) cut(text string, cells int) (head, tail string) {
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

// fit is text in exactly so many cells: filled up with blanks, or cut, which
// shows.
func (next ruler) fit(text string, cells int) string {
	w := next.width(text)
	if w > cells {
		text, _ = next.cut(text, cells-1)
		text += "…"
		w = next.width(text)
	}
	return text + strings.Repeat(" ", max(0, cells-w))
}

// shorten is text in at most so many cells.
func (next ruler) shorten(text string, cells int) string {
	if next.width(text) <= cells {
		return text
	}
	text, _ = next.cut(text, max(0, cells-1))
	return text + "…"
}

// wrap breaks text at blanks into rows of at most so many cells, the first of
// another length than the others. A word that is longer than a row is the
// terminal's to break. Where there is no room at all it is one row.
func (next ruler) wrap(text string, first, others int) []string {
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

// before is where the character begins that ends at the byte at.
func (next ruler) before(text string, at int) int {
	i := 0
	for {
		size, _ := next(text[i:])
		if i+size >= at || size == 0 {
			return i
		}
		i += size
	}
}
