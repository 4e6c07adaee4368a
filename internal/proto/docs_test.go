package proto

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/protocol.md has the one list of reasons that people read.
func TestDocsListEveryReason(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Why a connection ends\n")
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|[^|]*\\| ([^|]*) \\| ([^|]*) \\|$").FindAllStringSubmatch(section, -1) {
		r := ParseReason(row[1])
		listed[row[1]] = true
		if r == ReasonNone {
			t.Errorf("there is no reason %s", row[1])
			continue
		}
		if code := fmt.Sprint(uint16(r.CloseCode())); r.CloseCode().Sendable() && !strings.HasPrefix(row[2], code) {
			t.Errorf("%s: the close code is %s, the page has %q", row[1], code, row[2])
		}
		if (row[3] == "no") == r.Retry() {
			t.Errorf("%s: reconnect is %v, the page has %q", row[1], r.Retry(), row[3])
		}
	}
	for _, reason := range reasons[1:] {
		if !listed[reason.name] {
			t.Errorf("the page does not list %s", reason.name)
		}
	}
	_, codes, _ := strings.Cut(section, "\n| close codes |")
	final, _, _ := strings.Cut(codes, "\n| 1000 ")
	for c := range CloseCode(5000) {
		if known := strings.Contains(final, fmt.Sprint(uint16(c))+" "); c >= CloseNormal && known == c.Retry() {
			t.Errorf("close code %d: retry is %v, the page says otherwise", uint16(c), c.Retry())
		}
	}
}
