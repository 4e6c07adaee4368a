package console

import "strings"

// This file cuts text to the cells of a terminal. Terminals do not agree on
// how wide a character is, so no more depends on it than how well a line is
// filled: painter.go does not let a line that turns out longer wrap.

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
