package proto

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// A byte that needs no escape is not looked at again.
func TestPlainIsEachByteThatNeedsNoEscape(t *testing.T) {
	for b := range 256 {
		message := bytes.Repeat([]byte{byte(b)}, 19)
		want := 0
		if b >= ' ' && b < utf8.RuneSelf && b != '"' && b != '\\' {
			want = len(message)
		}
		if got := PlainLen(message); got != want {
			t.Errorf("of %q, %d are plain, want %d", message, got, want)
		}
	}
}

// A JSON line is one line for every program: readline, str.splitlines, a
// terminal.
func TestAStringHoldsNoControlCharacter(t *testing.T) {
	for r := range rune(0x3000) {
		s := "a" + string(r) + "b"
		quoted := string(AppendString(nil, s))
		var back string
		if err := json.Unmarshal([]byte(quoted), &back); err != nil || back != s {
			t.Errorf("%U is %s, read as %q (%v)", r, quoted, back, err)
		}
		hidden := unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp)
		if other, _ := json.Marshal(s); string(AppendLine(nil, other)) != quoted && !strings.ContainsRune("\b\f<>&", r) {
			t.Errorf("%U: %s becomes %s, want %s", r, other, AppendLine(nil, other), quoted)
		}
		if escaped := strings.Contains(quoted, `\`); escaped != (hidden || r == '"' || r == '\\') {
			t.Errorf("%U is %s", r, quoted)
		}
	}
}

// Whatever a string is, it is written as JSON that says the same, but for
// bytes that are not UTF-8; EscapedLen tells the length of the short form.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "hello", `say "hi" \o/`, "a\x00b\x1f\x7f", "é\u2028<>&\u0085", "\xff\xfe", "1234567\xc3", "\xc2\xe2\x80", "\U0010ffff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		want := string([]rune(string(p)))
		var back string
		quoted := AppendString(nil, p)
		if err := json.Unmarshal(quoted, &back); err != nil || back != want {
			t.Errorf("%q is %s, read as %q (%v)", p, quoted, back, err)
		}
		if string(AppendString(nil, string(p))) != string(quoted) {
			t.Errorf("%q as a string is not %s", p, quoted)
		}
		if !utf8.Valid(p) {
			return
		}
		escaped := AppendEscaped([]byte(`"`), p)
		if err := json.Unmarshal(append(escaped, '"'), &back); err != nil || back != want || len(escaped) != 1+EscapedLen(p) {
			t.Errorf("%q is %s\", read as %q (%v)", p, escaped, back, err)
		}
	})
}
