//go:build unix

package hubbub

// This file is the values that options and events may have.

import (
	"fmt"
	"strconv"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
)

// Framing says where a message ends: FramingLines, FramingNUL, FramingRaw or,
// for a number N above 0, after every N bytes.
type Framing int

const (
	FramingLines = Framing(framing.Lines) // at "\n"; "\r\n" from a client loses its "\r"
	FramingNUL   = Framing(framing.NUL)   // at a zero byte
	FramingRaw   = Framing(framing.Raw)   // nowhere: bytes are passed on as they come
)

// ParseFraming reads the value of the flag --frame: line, nul, raw or a number
// of bytes.
func ParseFraming(s string) (Framing, error) {
	f, err := framing.Parse(s)
	return Framing(f), err
}

func (f Framing) String() string { return framing.Framing(f).String() }

// Slow says what happens with a client that takes less than is broadcast.
//
// Up to a whole backlog behind, nothing happens: a client that lags costs one
// number. Then, before the hub forgets messages that the client has not had:
//
//   - SlowWait holds the source until the client has taken them, unless the
//     client took less than MinRate over the last Patience: then the hub closes
//     it. So the source is never held below that rate for longer than one
//     Patience, whatever clients do.
//   - SlowCut closes the client. The source never waits.
//   - SlowSkip moves the client to the oldest message that is kept whole, and
//     logs how many it missed. Messages arrive whole: the client gets the rest
//     of the one it stands in first.
//
// What a client takes is what it acknowledged, not what was sent: a healthy
// reader of 1 MB/s leaves gaps of almost 2 s between sends, because its socket
// buffer is large, but hardly any between acknowledgements.
//
// With no clients connected the source never waits: the oldest messages go,
// and the log counts those that no client received.
type Slow uint8

const (
	SlowWait Slow = iota // hold the source for slow clients, but not below MinRate
	SlowCut              // close clients that fall a backlog behind
	SlowSkip             // let them miss messages
)

// ParseSlow reads the value of the flag --slow: wait, cut or skip.
func ParseSlow(s string) (Slow, error) {
	for _, p := range []Slow{SlowWait, SlowCut, SlowSkip} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("slow %q: must be wait, cut or skip", s)
}

func (s Slow) String() string {
	switch s {
	case SlowWait:
		return "wait"
	case SlowCut:
		return "cut"
	case SlowSkip:
		return "skip"
	}
	return fmt.Sprintf("Slow(%d)", uint8(s))
}

// Replay says what a new client gets first: ReplayUnheard, ReplayNone,
// ReplayAll or, for a number N above 0, the last N messages.
type Replay int

const (
	ReplayUnheard Replay = 0  // what no client has received yet
	ReplayNone    Replay = -1 // nothing
	ReplayAll     Replay = -2 // everything in the backlog
)

// ParseReplay reads the value of the flag --replay: unheard, none, all or a
// number of messages.
func ParseReplay(s string) (Replay, error) {
	switch s {
	case "unheard":
		return ReplayUnheard, nil
	case "none":
		return ReplayNone, nil
	case "all":
		return ReplayAll, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("replay %q: must be unheard, none, all or a number of messages", s)
	}
	if n == 0 {
		return ReplayNone, nil
	}
	return Replay(n), nil
}

func (r Replay) String() string {
	switch r {
	case ReplayUnheard:
		return "unheard"
	case ReplayNone:
		return "none"
	case ReplayAll:
		return "all"
	}
	return strconv.Itoa(int(r))
}

// Inbox says which events Receive and Events return.
type Inbox uint8

const (
	InboxAll      Inbox = iota // messages, joins and leaves
	InboxMessages              // messages
	InboxPresence              // joins and leaves
	InboxNone                  // nothing: the hub reads and discards what clients send
)

// LeaveCode says why a client left. Its String is the name that JSON events
// and hubbub.v1 carry: "lapped".
type LeaveCode uint8

const (
	_ LeaveCode = iota

	LeaveDone  // the client had nothing more to say
	LeaveReset // the connection was reset, or closed without a close frame
	LeaveDead  // the peer stopped answering
	LeaveLost  // any other error of the connection

	LeaveShutdown  // the hub shuts down
	LeaveKicked    // Kick closed it
	LeaveReplaced  // a newer connection has its session
	LeaveLapped    // it fell a whole backlog behind
	LeaveSlow      // it held up the source and took less than MinRate
	LeaveIdle      // no byte went either way for IdleTimeout
	LeaveTooLong   // it sent a message longer than MaxMessage
	LeaveBreach    // it broke the protocol
	LeaveOverQuota // the hub held too much for it alone
)

func (c LeaveCode) String() string { return proto.Reason(c).String() }

// Cut reports whether the hub ended the client and went on serving others: it
// was kicked, too slow, idle, …
func (c LeaveCode) Cut() bool { return proto.Reason(c).Cut() }
