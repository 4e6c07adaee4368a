//go:build unix

package engine

import (
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/framing"
)

const someDescriptors = 1000

// The zero value works, and means what its fields say.
func TestZeroOptionsWork(t *testing.T) {
	o, err := Config{}.withDefaults(someDescriptors)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		field     string
		got, want any
	}{
		{"Framing", o.Framing, framing.Lines},
		{"MaxMessage", o.MaxMessage, 1 << 20},
		{"Slow", o.Slow, delivery.Wait},
		{"Patience", o.Patience, time.Second},
		{"MinRate", o.MinRate, int64(64 << 10)},
		{"Backlog", o.Backlog, int64(64 << 20)},
		{"Replay", o.Replay, backlog.FirstUnheard},
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
	for _, o := range []Config{
		{Backlog: minBacklog},
		{Backlog: minBacklog, MaxMessage: 1},
		{Backlog: minBacklog, MaxMessage: minBacklog / 4},
		{Backlog: minBacklog, Framing: minBacklog / 4},
		{Backlog: math.MaxInt64},
		{Framing: 1},
		{Framing: framing.MaxRecord},
		{Framing: framing.Raw, Slow: delivery.Skip, Replay: backlog.FirstAll},
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
		o    Config
		says string
	}{
		{Config{Framing: framing.Raw - 1}, "Framing -3: must be FramingLines, FramingNUL, FramingRaw or a record size"},
		{Config{Framing: framing.MaxRecord + 1}, "must be FramingLines, FramingNUL, FramingRaw or a record size of 1 to 16777216 bytes"},
		{Config{Slow: delivery.Skip + 1}, "Slow 3: must be SlowWait, SlowCut or SlowSkip"},
		{Config{Replay: backlog.FirstAll - 1}, "Replay -3: must be ReplayUnheard, ReplayNone, ReplayAll or a number"},
		{Config{Backlog: minBacklog - 1}, "the least is 65536"},
		{Config{Inbox: InboxNone + 1}, "Inbox 4: must be InboxAll, InboxMessages, InboxPresence or InboxNone"},
		{Config{Backlog: -1}, "the least is 65536"},
		{Config{MaxMessage: -1}, "it must be 1 to a quarter of the backlog, 16777216"},
		{Config{Backlog: minBacklog, MaxMessage: minBacklog/4 + 1}, "it must be 1 to a quarter of the backlog, 16384"},
		{Config{Backlog: minBacklog, Framing: minBacklog/4 + 1}, "they must be at most a quarter of it, 16384"},
		{Config{Patience: -1}, "Patience"},
		{Config{MinRate: -1}, "MinRate"},
		{Config{IdleTimeout: -1}, "IdleTimeout"},
		{Config{MaxClients: -1}, "MaxClients"},
		{Config{Loops: -1}, "Loops"},
		{Config{Loops: MaxLoops + 1}, "Loops 257: must be at most 256"},
		{Config{SocketOptions: []string{"SO_NONSENSE=1"}}, "SO_NONSENSE"},
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
		if o, err := (Config{}).withDefaults(descriptors); err != nil || o.MaxClients != want {
			t.Errorf("with %d descriptors MaxClients is %d, %v, want %d", descriptors, o.MaxClients, err, want)
		}
	}
}
