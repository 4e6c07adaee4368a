package proto

import "testing"

// The whole table of close codes: what may be sent, and what a client that was
// closed with it does.
func TestCloseCodes(t *testing.T) {
	for _, c := range []struct {
		from, to        CloseCode
		sendable, retry bool
	}{
		{0, 999, false, true},
		{1000, 1001, true, true},
		{1002, 1002, true, false},
		{1003, 1003, true, true},
		{1004, 1006, false, true},
		{1007, 1007, true, false},
		{1008, 1008, true, true},
		{1009, 1009, true, false},
		{1010, 1014, true, true}, // 1012 to 1014 say themselves: try again
		{1015, 2999, false, true},
		{3000, 4999, true, true},
		{5000, 65535, false, true},
	} {
		for code := int(c.from); code <= int(c.to); code++ {
			code := CloseCode(code)
			if code.Sendable() != c.sendable || code.Retry() != c.retry {
				t.Errorf("%v: sendable %v, retry %v; want %v, %v", code, code.Sendable(), code.Retry(), c.sendable, c.retry)
			}
		}
	}
}

func TestBreachIsASentence(t *testing.T) {
	var err error = Breachf(CloseInvalidPayload, "text is not %s", "UTF-8")
	if err.Error() != "text is not UTF-8 (1007)" {
		t.Errorf("it says %q", err)
	}
}
