package visible

import (
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

// AppendLine appends text to dst, escaped for one line of a screen that also
// shows other clients' lines. Beyond what Append does,
//
//	"a\nb"       becomes  a\x0ab      no forged lines
//	"a\tb"       becomes  a       b   blanks up to the next multiple of 8 cells
//	"a\u200bb"   becomes  a\u200bb    no invisible characters
//	"Z͑ͫ̓ͪ̂ͫ"      has at most maxMarks per character
//
// A joiner (U+200C, U+200D) stays between two characters beyond ASCII, where
// scripts and emoji need it.
func AppendLine(dst, text []byte) []byte {
	stop := len(dst) // the last tab stop
	var before rune
	for marks := 0; len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		after, _ := utf8.DecodeRune(text[size:])
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == '\t':
			for n := 8 - displaywidth.Bytes(dst[stop:])%8; n > 0; n-- {
				dst = append(dst, ' ')
			}
			stop = len(dst)
		case r == '\n' || r == utf8.RuneError && size <= 1 || r < utf8.RuneSelf && plain(text[:1]) == 0:
			dst = appendByte(dst, text[0])
			r = 0
		case r == zwnj || r == zwj:
			if joins(before) && joins(after) {
				dst = utf8.AppendRune(dst, r)
			} else {
				dst = appendAnyRune(dst, r)
			}
		case obeyed(r) && r >= utf8.RuneSelf, unseen(r), marks > maxMarks:
			dst = appendAnyRune(dst, r)
			r = 0
		default:
			dst = append(dst, text[:size]...)
		}
		before, text = r, text[size:]
	}
	return dst
}

// maxMarks is how many marks a character may carry. No script needs more;
// hundreds cover the lines above and below.
const maxMarks = 8

const (
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// joins reports whether a joiner may be next to r.
func joins(r rune) bool {
	return r > utf8.RuneSelf && r != utf8.RuneError && !obeyed(r) && unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unseen(r)
}

// unseen reports whether r, which no terminal obeys, is invisible: a format
// control, a line separator or a filler.
func unseen(r rune) bool {
	switch r {
	case 0x34f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x3164, 0xffa0:
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

// Next returns the length of text's first grapheme cluster, and how many terminal
// cells it takes. text is escaped already. Terminals differ, so callers must
// tolerate a wrong width.
func Next(text string) (size, cells int) {
	g := displaywidth.StringGraphemes(text)
	if !g.Next() {
		return 0, 0
	}
	return len(g.Value()), g.Width()
}

// appendAnyRune is appendRune that also knows the planes beyond the first.
func appendAnyRune(dst []byte, r rune) []byte {
	if r < 0x10000 {
		return appendRune(dst, r)
	}
	dst = append(dst, '\\', 'U')
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[r>>shift&15])
	}
	return dst
}
