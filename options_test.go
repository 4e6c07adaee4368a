//go:build unix

package hubbub

import (
	"strings"
	"testing"

	"hubbub.example/internal/framing"
)

// Each word of a flag reads as one value, and that value reads as the word.
func TestFlagWords(t *testing.T) {
	for word, want := range map[string]Framing{"line": FramingLines, "nul": FramingNUL, "raw": FramingRaw, "1": 1, "16777216": framing.MaxRecord} {
		if got, err := ParseFraming(word); got != want || err != nil || got.String() != word {
			t.Errorf("framing %q is %v, %v", word, got, err)
		}
	}
	for word, want := range map[string]Replay{"unheard": ReplayUnheard, "none": ReplayNone, "all": ReplayAll, "1": 1, "100": 100} {
		if got, err := ParseReplay(word); got != want || err != nil || got.String() != word {
			t.Errorf("replay %q is %v, %v", word, got, err)
		}
	}
	for word, want := range map[string]Slow{"wait": SlowWait, "cut": SlowCut, "skip": SlowSkip} {
		if got, err := ParseSlow(word); got != want || err != nil || got.String() != word {
			t.Errorf("slow %q is %v, %v", word, got, err)
		}
	}
	for _, word := range []string{"0", "00", "-0"} {
		if got, err := ParseReplay(word); got != ReplayNone || err != nil {
			t.Errorf("replay %q is %v, %v, want none", word, got, err)
		}
	}
}

func TestWrongFlagWordsSayWhatWouldBeRight(t *testing.T) {
	for _, word := range []string{"", "0", "-1", "lines", "LINE", "16777217", "1.5", "1k", " 1"} {
		if _, err := ParseFraming(word); err == nil || !strings.Contains(err.Error(), "must be line, nul, raw or a record's size in bytes, 1 to 16777216") {
			t.Errorf("framing %q: %v", word, err)
		}
	}
	for _, word := range []string{"", "-1", "some", "99999999999999999999"} {
		if _, err := ParseReplay(word); err == nil || !strings.Contains(err.Error(), "must be unheard, none, all or a number of messages") {
			t.Errorf("replay %q: %v", word, err)
		}
	}
	for _, word := range []string{"", "Wait", "drop"} {
		if _, err := ParseSlow(word); err == nil || !strings.Contains(err.Error(), "must be wait, cut or skip") {
			t.Errorf("slow %q: %v", word, err)
		}
	}
}

// Whatever a flag is given, what is read from it is written the same, and
// makes a hub's options.
func FuzzFlagWords(f *testing.F) {
	for _, word := range []string{"line", "nul", "raw", "unheard", "none", "all", "wait", "cut", "skip", "0", "17", "-2", "+3", "007"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if v, err := ParseFraming(word); err == nil {
			if again, err := ParseFraming(v.String()); again != v || err != nil {
				t.Errorf("framing %q is %v, which reads as %v, %v", word, v, again, err)
			}
			opens(t, Options{Framing: v})
		}
		if v, err := ParseReplay(word); err == nil {
			if again, err := ParseReplay(v.String()); again != v || err != nil {
				t.Errorf("replay %q is %v, which reads as %v, %v", word, v, again, err)
			}
			opens(t, Options{Replay: v})
		}
		if v, err := ParseSlow(word); err == nil && v.String() != word {
			t.Errorf("slow %q is %v", word, v)
		}
	})
}

// opens checks that a hub can be made with these options.
func opens(t *testing.T, o Options) {
	t.Helper()
	o.Loops = 1
	h, err := New(o)
	if err != nil {
		t.Error(err)
		return
	}
	_ = h.Close()
}

// A program that compares codes must not read one for another.
func TestLeaveCodesAreTheProtocols(t *testing.T) {
	for code, want := range map[LeaveCode]string{
		LeaveDone: "done", LeaveReset: "reset", LeaveDead: "dead", LeaveLost: "lost", LeaveShutdown: "shutdown",
		LeaveKicked: "kicked", LeaveReplaced: "replaced", LeaveLapped: "lapped", LeaveSlow: "slow", LeaveIdle: "idle",
		LeaveTooLong: "too_long", LeaveBreach: "breach", LeaveOverQuota: "quota",
	} {
		if code.String() != want {
			t.Errorf("code %d is %q, want %q", code, code, want)
		}
	}
}
