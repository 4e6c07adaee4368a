package proto

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// LongestName is the longest name of a client, in bytes.
const LongestName = 64

// joiners are the format characters that names need: Persian and Indian
// scripts between letters, emoji between their parts. They change the shape of
// their neighbors, but neither their order nor whether they are seen.
const joiners = "\u200c\u200d"

// ParseName checks the name of a client. Other people read it in lines beside
// their own, so it may not end a line, reorder it, or hide in it.
func ParseName(s string) (string, error) {
	if s == "" || len(s) > LongestName || !utf8.ValidString(s) || strings.ContainsFunc(s, unseen) || strings.Trim(s, joiners) != s {
		return "", fmt.Errorf("name %q: must be 1 to %d bytes of UTF-8 without control and format characters", s, LongestName)
	}
	return s, nil
}

// unseen reports whether r is a control character, a format character other
// than a joiner, or a line or paragraph separator.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && !strings.ContainsRune(joiners, r)
}
