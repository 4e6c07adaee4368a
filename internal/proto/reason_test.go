package proto

import "testing"

// The names are part of the protocol: a renamed one breaks programs.
func TestReasonsKeepTheirNames(t *testing.T) {
	want := []string{
		"", "done", "reset", "dead", "lost", "shutdown", "kicked", "replaced", "lapped",
		"slow", "idle", "too_long", "breach", "quota", "full", "denied",
	}
	if len(reasons) != len(want) {
		t.Fatalf("there are %d reasons, %d names", len(reasons), len(want))
	}
	for i, name := range want {
		if r := Reason(i); r.String() != name || ParseReason(name) != r {
			t.Errorf("reason %d is %q and %q is reason %d, want %q both ways", i, r, name, ParseReason(name), name)
		}
	}
	if r := ParseReason("of a later version"); r != ReasonNone {
		t.Errorf("an unknown name is %q", r)
	}
}

func TestWhoeverMustNotComeBackWasCut(t *testing.T) {
	for r := range Reason(len(reasons)) {
		if !r.Retry() && !r.Cut() {
			t.Errorf("%s is final, but the server did not end it", r)
		}
	}
}
