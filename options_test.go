//go:build unix

package hubbub

import (
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/framing"
)

const someDescriptors = 1000

// The zero value works, and means what its fields say.
func TestZeroOptionsWork(t *testing.T) {
	o, err := Options{}.withDefaults(someDescriptors)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		field     string
		got, want any
	}{
		{"Framing", o.Framing, FramingLines},
		{"MaxMessage", o.MaxMessage, 1 << 20},
		{"Slow", o.Slow, SlowWait},
		{"Patience", o.Patience, time.Second},
		{"MinRate", o.MinRate, int64(64 << 10)},
		{"Backlog", o.Backlog, int64(64 << 20)},
		{"Replay", o.Replay, ReplayUnheard},
		{"MaxClients", o.MaxClients, someDescriptors - descriptorsForUs},
		{"IdleTimeout", o.IdleTimeout, time.Duration(0)},
		{"KeepAlive", o.KeepAlive, 30 * time.Second},
		{"Inbox", o.Inbox, InboxAll},
		{"UnixMode", uint32(o.UnixMode), uint32(0o600)},
		{"Loops", o.Loops, runtime.NumCPU()},
	} {
		if c.got != c.want {
			t.Errorf("%s: 0 means %v, want %v", c.field, c.got, c.want)
		}
	}
	if o.Logger == nil {
		t.Error("there is no logger")
	}
}

// What is set stays as it is, to the very bounds.
func TestOptionsUpToTheirBounds(t *testing.T) {
	for _, o := range []Options{
		{Backlog: minBacklog},
		{Backlog: minBacklog, MaxMessage: 1},
		{Backlog: minBacklog, MaxMessage: minBacklog / 4},
		{Backlog: minBacklog, Framing: minBacklog / 4},
		{Backlog: math.MaxInt64},
		{Framing: 1},
		{Framing: framing.MaxRecord},
		{Framing: FramingRaw, Slow: SlowSkip, Replay: ReplayAll},
		{Replay: math.MaxInt},
		{Patience: minPatience, MinRate: 1, KeepAlive: -1, MaxClients: 1, Loops: 1, IdleTimeout: 1},
		{Inbox: InboxNone},
		{Loops: MaxLoops},
	} {
		got, err := o.withDefaults(someDescriptors)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		for _, c := range []struct {
			set       bool
			got, want any
		}{
			{o.Backlog != 0, got.Backlog, o.Backlog},
			{o.MaxMessage != 0, got.MaxMessage, o.MaxMessage},
			{o.Patience != 0, got.Patience, o.Patience},
			{o.KeepAlive != 0, got.KeepAlive, o.KeepAlive},
			{o.MaxClients != 0, got.MaxClients, o.MaxClients},
			{o.Inbox != 0, got.Inbox, o.Inbox},
			{true, got.Framing, o.Framing},
			{true, got.Replay, o.Replay},
		} {
			if c.set && c.got != c.want {
				t.Errorf("%+v: %v became %v", o, c.want, c.got)
			}
		}
	}
}

// A wrong option is named, and what would be right is said.
func TestWrongOptionIsNamed(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{Framing: FramingRaw - 1}, "Framing -3: must be FramingLines, FramingNUL, FramingRaw or a record size"},
		{Options{Framing: framing.MaxRecord + 1}, "must be FramingLines, FramingNUL, FramingRaw or a record size of 1 to 16777216 bytes"},
		{Options{Slow: SlowSkip + 1}, "Slow 3: must be SlowWait, SlowCut or SlowSkip"},
		{Options{Replay: ReplayAll - 1}, "Replay -3: must be ReplayUnheard, ReplayNone, ReplayAll or a number"},
		{Options{Backlog: minBacklog - 1}, "the least is 65536"},
		{Options{Inbox: InboxNone + 1}, "Inbox 4: must be InboxAll, InboxMessages, InboxPresence or InboxNone"},
		{Options{Backlog: -1}, "the least is 65536"},
		{Options{MaxMessage: -1}, "it must be 1 to a quarter of the backlog, 16777216"},
		{Options{Backlog: minBacklog, MaxMessage: minBacklog/4 + 1}, "it must be 1 to a quarter of the backlog, 16384"},
		{Options{Backlog: minBacklog, Framing: minBacklog/4 + 1}, "they must be at most a quarter of it, 16384"},
		{Options{Patience: -1}, "Patience"},
		{Options{MinRate: -1}, "MinRate"},
		{Options{IdleTimeout: -1}, "IdleTimeout"},
		{Options{MaxClients: -1}, "MaxClients"},
		{Options{Loops: -1}, "Loops"},
		{Options{Loops: MaxLoops + 1}, "Loops 257: must be at most 256"},
		{Options{SocketOptions: []string{"SO_NONSENSE=1"}}, "SO_NONSENSE"},
	} {
		if h, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			if h != nil {
				_ = h.Close()
			}
			t.Errorf("%+v: %v, want that it says %q", c.o, err, c.says)
		}
	}
}

// However few descriptors there are, one client may come.
func TestOneClientMayAlwaysCome(t *testing.T) {
	for descriptors, want := range map[int]int{0: 1, descriptorsForUs: 1, descriptorsForUs + 2: 2} {
		if o, err := (Options{}).withDefaults(descriptors); err != nil || o.MaxClients != want {
			t.Errorf("with %d descriptors MaxClients is %d, %v, want %d", descriptors, o.MaxClients, err, want)
		}
	}
}

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
			if _, err := (Options{Framing: v}).withDefaults(someDescriptors); err != nil {
				t.Error(err)
			}
		}
		if v, err := ParseReplay(word); err == nil {
			if again, err := ParseReplay(v.String()); again != v || err != nil {
				t.Errorf("replay %q is %v, which reads as %v, %v", word, v, again, err)
			}
			if _, err := (Options{Replay: v}).withDefaults(someDescriptors); err != nil {
				t.Error(err)
			}
		}
		if v, err := ParseSlow(word); err == nil && v.String() != word {
			t.Errorf("slow %q is %v", word, v)
		}
	})
}

// A program that compares codes must not read one for another.
func TestLeaveCodesAreTheProtocols(t *testing.T) {
	for code, want := range map[LeaveCode]string{
		LeaveDone: "done", LeaveReset: "reset", LeaveDead: "dead", LeaveLost: "lost", LeaveShutdown: "shutdown",
		LeaveKicked: "kicked", LeaveReplaced: "replaced", LeaveLapped: "lapped", LeaveSlow: "slow", LeaveIdle: "idle",
		LeaveTooLong: "too_long", LeaveBreach: "breach", LeaveOverQuota: "quota", LeaveFull: "full", LeaveDenied: "denied",
	} {
		if code.String() != want {
			t.Errorf("code %d is %q, want %q", code, code, want)
		}
	}
}
