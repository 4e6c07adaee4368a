package proto

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for _, in := range []string{
		"a", "ann & bob", "ünï", "張偉", "\u202f1", strings.Repeat("x", 64),
		"عل\u200cرضا",    // Persian, two parts of one word
		"क्\u200dष",      // Hindi
		"👩\u200d🚀", "é́", // one sign each
	} {
		if name, err := ParseName(in); err != nil || name != in {
			t.Errorf("ParseName(%q) = %q, %v", in, name, err)
		}
	}
	for _, in := range []string{
		"", "a\nb", "\x7f", "\u0085", "\xff", "\xed\xa0\x80", strings.Repeat("x", 65),
		"ann\u202enna", "\u2066ann\u2069", "\u200fann", "ann\u061c", // what turns a line around
		"a\u200bnn", "\ufeffann", "an\u00adn", "\u2060", "\U000e0041", // what is not seen
		"a\u2028b", "a\u2029b", // what ends a line
		"\u200dann", "ann\u200c", "\u200d", // joins nothing
	} {
		if _, err := ParseName(in); err == nil || !strings.Contains(err.Error(), "must be 1 to 64 bytes of UTF-8 without control and format characters") {
			t.Errorf("ParseName(%q) = %v", in, err)
		}
	}
}
