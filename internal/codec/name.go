package codec

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestName is what a client may be called at most, in bytes.
const longestName = 64

// joiners are the format characters that names need: Persian and Indian
// scripts between letters, emoji between their parts. They change the shape of
// what stands beside them, and neither its order nor what is seen of it.
const joiners = "\u200c\u200d"

// ParseName reads what a client wants to be called. Other people read it, in
// lines beside their own: what would end the line, turn it around, or hide in
// it, is no name.
func ParseName(s string) (string, error) {
	if s == "" || len(s) > longestName || !utf8.ValidString(s) || strings.ContainsFunc(s, unseen) || strings.Trim(s, joiners) != s {
		return "", fmt.Errorf("name %q: must be 1 to %d bytes of UTF-8 without control and format characters", s, longestName)
	}
	return s, nil
}

// unseen says that r is a control, a format character but a joiner (which
// orders text, tags it, or nothing), or ends a line or paragraph.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && !strings.ContainsRune(joiners, r)
}
