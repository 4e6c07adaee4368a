package console

import (
	"bytes"
	"strconv"
	"strings"
)

// filter says which messages are shown. The zero value shows all.
type filter struct {
	given string // as it was typed
	text  []byte // in lower case; "" for all
	not   bool   // those that do not have it
	id    uint64 // those of one client; 0 for all
}

// parseFilter reads what /filter takes:
//
//	text     messages that have it, or that somebody says whose name has it
//	-text    the others
//	#17      those of client 17
func parseFilter(s string) filter {
	s = strings.TrimSpace(s)
	if digits, ok := strings.CutPrefix(s, "#"); ok {
		if id, err := strconv.ParseUint(digits, 10, 64); err == nil && id > 0 {
			return filter{given: s, id: id}
		}
	}
	text, not := strings.CutPrefix(s, "-")
	if text == "" {
		return filter{}
	}
	return filter{given: s, text: bytes.ToLower([]byte(text)), not: not}
}

func (f filter) any() bool { return f.given != "" }

// shows reports whether e is shown. What is no message always is.
func (f filter) shows(e entry) bool {
	switch {
	case !f.any() || e.kind != fromClient:
		return true
	case f.id != 0:
		return e.id == f.id
	}
	has := bytes.Contains(bytes.ToLower(e.text), f.text) || strings.Contains(strings.ToLower(e.name), string(f.text))
	return has != f.not
}
