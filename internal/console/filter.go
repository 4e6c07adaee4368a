package console

import (
	"bytes"
	"strconv"
	"strings"
)

// filter selects the messages to show. The zero value shows all.
type filter struct {
	given string // as it was typed
	text  []byte // in lower case; "" for all
	not   bool   // show messages without text
	id    uint64 // show messages of one client; 0 for all
}

// parseFilter reads the argument of /filter:
//
//	text     messages that contain it, or whose sender's name does
//	-text    all others
//	#17      messages of client 17
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

// shows reports whether e is shown. All entries but messages are.
func (f filter) shows(e entry) bool {
	switch {
	case !f.any() || e.kind != message:
		return true
	case f.id != 0:
		return e.id == f.id
	}
	has := bytes.Contains(bytes.ToLower(e.text), f.text) || strings.Contains(strings.ToLower(e.name), string(f.text))
	return has != f.not
}
