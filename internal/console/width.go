package console

import (
	"strings"

	"hubbub.example/internal/visible"
)

// This file cuts text to the cells of a terminal. Terminals do not agree on how
// wide a character is, so little depends on it: a line may be filled badly, but
// paint.go never lets it wrap.

// cellsOf returns how many cells text takes.
func cellsOf(text string) int {
	total := 0
	for len(text) > 0 {
		size, cells := visible.Next(text)
		total += cells
		text = text[size:]
	}
	return total
}

// cut splits text so that head takes at most so many cells.
func cut(text string, cells int) (head, tail string) {
	at := 0
	for at < len(text) {
		size, n := visible.Next(text[at:])
		if cells -= n; cells < 0 {
			break
		}
		at += size
	}
	return text[:at], text[at:]
}

// fit pads or cuts text to exactly so many cells. A cut is marked.
func fit(text string, cells int) string {
	w := cellsOf(text)
	if w > cells {
		text, _ = cut(text, cells-1)
		text += "…"
		w = cellsOf(text)
	}
	return text + strings.Repeat(" ", max(0, cells-w))
}

// shorten cuts text to at most so many cells. A cut is marked.
func shorten(text string, cells int) string {
	if cellsOf(text) <= cells {
		return text
	}
	text, _ = cut(text, max(0, cells-1))
	return text + "…"
}

// wrap breaks text at blanks into rows of at most so many cells; the first row
// has its own limit. It leaves a word that is longer than a row to the terminal.
// Without any room the text is one row.
func wrap(text string, first, others int) []string {
	text = strings.TrimRight(text, " ")
	var rows []string
	for room := first; others > 0; room = others {
		head, tail := cut(text, room)
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

// previous returns the start of the character that ends at byte at.
func previous(text string, at int) int {
	i := 0
	for {
		size, _ := visible.Next(text[i:])
		if i+size >= at || size == 0 {
			return i
		}
		i += size
	}
}
