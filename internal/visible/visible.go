// Package visible makes untrusted text safe for a terminal: it shows control
// bytes as escapes, so that the terminal does not obey them.
//
//	"\x1b[2J"     becomes  \x1b[2J    it would clear the screen
//	"\u202e"      becomes  \u202e     it would reverse the rest of the line
//	"\xff"        becomes  \xff       it is not UTF-8
//	"naïve\t①\n"  is unchanged
//
// It escapes C0 except tab and newline, DEL, C1 (as code points and as raw bytes),
// the bidirectional controls, and every byte that is not UTF-8. A backslash stays
// as it is: the output is for people, not for parsing.
//
// line.go is stricter, for a screen that a program lays out.
package visible

import (
	"io"
	"unicode/utf8"
)

// Append appends text to dst, escaped. text is complete: a UTF-8 sequence cut off
// at its end is invalid.
func Append(dst, text []byte) []byte {
	dst, rest := appendShown(dst, text)
	for _, c := range rest {
		dst = appendByte(dst, c)
	}
	return dst
}

// Writer escapes what is written to it and writes it to another writer. A UTF-8
// sequence may be split between two writes; Writer keeps its beginning.
type Writer struct {
	w    io.Writer
	half []byte // the beginning of a UTF-8 sequence
	buf  []byte
}

// NewWriter returns a Writer that writes to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, half: make([]byte, 0, utf8.UTFMax)}
}

// Write writes p with one call of the other writer's Write. If there is nothing to
// escape, it passes p itself. After an error it returns 0: how much of p was
// written is unknown.
func (w *Writer) Write(p []byte) (int, error) {
	out := p
	if len(w.half) > 0 || plain(p) < len(p) {
		out = w.show(p)
	}
	if len(out) == 0 {
		return len(p), nil
	}
	if _, err := w.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes the beginning of a UTF-8 sequence that has not been completed.
func (w *Writer) Flush() error {
	if len(w.half) == 0 {
		return nil
	}
	out := Append(w.buf[:0], w.half)
	w.half = w.half[:0]
	_, err := w.w.Write(out)
	return err
}

// show returns p, escaped, after the kept beginning of a sequence. It keeps the
// incomplete sequence at the end of p.
func (w *Writer) show(p []byte) []byte {
	out := w.buf[:0]
	for len(w.half) > 0 && len(p) > 0 {
		var rest []byte
		w.half = append(w.half, p[0])
		out, rest = appendShown(out, w.half)
		w.half = append(w.half[:0], rest...)
		p = p[1:]
	}
	out, rest := appendShown(out, p)
	w.half = append(w.half, rest...)
	w.buf = out
	return out
}

// appendShown appends text to dst, escaped. rest is an incomplete UTF-8 sequence
// at the end of text.
func appendShown(dst, text []byte) (shown, rest []byte) {
	for {
		n := plain(text)
		dst, text = append(dst, text[:n]...), text[n:]
		if !utf8.FullRune(text) { // also when nothing is left
			return dst, text
		}
		r, size := utf8.DecodeRune(text)
		if r < utf8.RuneSelf || r == utf8.RuneError {
			dst = appendByte(dst, text[0])
		} else {
			dst = appendRune(dst, r)
		}
		text = text[size:]
	}
}

// plain returns the number of bytes at the beginning of text that need no escape.
func plain(text []byte) int {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || obeyed(r) {
			return i
		}
		i += size
	}
	return len(text)
}

// obeyed reports whether a terminal may obey r, which is not ASCII: C1, or a
// control of the bidirectional algorithm (UAX #9).
func obeyed(r rune) bool {
	switch {
	case r <= 0x9f, r == 0x61c, r == 0x200e, r == 0x200f:
		return true
	case 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
		return true
	}
	return false
}

const digits = "0123456789abcdef"

func appendByte(dst []byte, c byte) []byte {
	return append(dst, '\\', 'x', digits[c>>4], digits[c&15])
}

// appendRune appends r, which is below U+10000.
func appendRune(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
