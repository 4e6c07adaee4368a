package proto

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

// This file writes JSON strings (RFC 8259, section 7), in two ways:
//
//	AppendEscaped   for a frame: escapes what JSON requires; EscapedLen and
//	                PlainLen tell the length beforehand
//	AppendString    for a line: escapes every control character and line
//	AppendData      separator besides, since some programs end a line there;
//	AppendLine      escapes these in JSON that another package has written

// AppendEscaped appends p, which is UTF-8, as the inside of a JSON string.
func AppendEscaped(dst, p []byte) []byte {
	from := 0
	for i, b := range p {
		if escapes[b] > 0 {
			dst = appendEscape(append(dst, p[from:i]...), rune(b))
			from = i + 1
		}
	}
	return append(dst, p[from:]...)
}

// EscapedLen returns the length of AppendEscaped's result.
func EscapedLen(p []byte) int {
	n := len(p)
	for _, b := range p {
		n += int(escapes[b])
	}
	return n
}

// PlainLen returns the length of the prefix of p that is the same in a JSON string
// and ASCII, in whole words of 8 bytes unless that is all of p.
func PlainLen(p []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	at := 0
	for ; len(p)-at >= 8; at += 8 {
		x := binary.LittleEndian.Uint64(p[at:])
		// (w - n×ones) &^ w has a high bit set if and only if a byte of w is
		// less than n; the bytes of quote less than 1 were quotes in x.
		quote, backslash := x^'"'*ones, x^'\\'*ones
		odd := x | (x-' '*ones)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash
		if odd&highs != 0 {
			return at
		}
	}
	for at < len(p) && p[at] < utf8.RuneSelf && escapes[p[at]] == 0 {
		at++
	}
	return at
}

// AppendString appends s as a JSON string that every program reads within one
// line. Each byte that is not UTF-8 becomes U+FFFD.
func AppendString[S string | []byte](dst []byte, s S) []byte {
	if !utf8.Valid([]byte(s)) {
		return AppendString(dst, string([]rune(string(s))))
	}
	return append(escape(append(dst, '"'), s, escapes[:]), '"')
}

// AppendLine appends JSON without the control characters and separators in its
// strings that AppendString escapes, and others may have left in.
func AppendLine(dst, json []byte) []byte { return escape(dst, json, nil) }

// escape appends s, with DEL, U+0080 to U+009F, U+2028 and U+2029 escaped, and
// the ASCII characters that grow according to a table.
func escape[S string | []byte](dst []byte, s S, grow []uint8) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		r, size := rune(s[i]), 1
		switch {
		case r == 0x7f:
		case r < utf8.RuneSelf:
			if grow == nil || grow[r] == 0 {
				continue
			}
		case r == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0: // U+0080 to U+009F
			r, size = rune(s[i+1]), 2
		case r == 0xe2 && i+2 < len(s) && s[i+1] == 0x80 && s[i+2]&^1 == 0xa8:
			r, size = '\u2028'+rune(s[i+2]&1), 3
		default:
			continue
		}
		dst = appendEscape(append(dst, s[from:i]...), r)
		from = i + size
		i = from - 1
	}
	return append(dst, s[from:]...)
}

// AppendData appends a message as a field of a JSON object: "text" if it is
// UTF-8, else "base64".
func AppendData(dst, message []byte) []byte {
	if utf8.Valid(message) {
		return AppendString(append(dst, `"text":`...), message)
	}
	dst = append(dst, `"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, message), '"')
}

// escapes is by how much a byte grows in a JSON string.
var escapes = func() (by [256]uint8) {
	for b := range ' ' {
		by[b] = uint8(len(`\u0000`) - 1)
	}
	for _, b := range "\b\t\n\f\r\"\\" {
		by[b] = 1
	}
	return by
}()

// appendEscape appends the shortest escape of r, which is below U+10000.
func appendEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	switch r {
	case '\b':
		return append(dst, `\b`...)
	case '\t':
		return append(dst, `\t`...)
	case '\n':
		return append(dst, `\n`...)
	case '\f':
		return append(dst, `\f`...)
	case '\r':
		return append(dst, `\r`...)
	case '"', '\\':
		return append(dst, '\\', byte(r))
	}
	return append(dst, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
}
