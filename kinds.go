//go:build unix

package hubbub

import (
	"fmt"
	"strconv"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
)

// Framing says where a message ends: Lines, NUL, Raw, or, for a number N
// above 0, after every N bytes.
type Framing int

const (
	Lines = Framing(framing.Lines) // "\n"; "\r\n" from a client loses its "\r"
	NUL   = Framing(framing.NUL)   // a zero byte
	Raw   = Framing(framing.Raw)   // nowhere: bytes as they come
)

// ParseFraming reads what the flag --frame takes: line, nul, raw or a number
// of bytes.
func ParseFraming(s string) (Framing, error) {
	f, err := framing.Parse(s)
	return Framing(f), err
}

func (f Framing) String() string { return framing.Framing(f).String() }

// Slow says what happens with a client that takes less than is broadcast.
//
// As long as it is less than the backlog behind, nothing: it costs one
// number. When the feed wants to forget what the client has not had:
//
//   - Wait holds the source, until the client has taken it. But a client that
//     would hold the source and took fewer than MinRate bytes a second over the
//     last Patience is at lunch, and is cut. So whatever clients do, the
//     source is never held below that rate for longer than one Patience; and
//     not at all by a client that was watched for so long on its way there,
//     nor by one that comes meanwhile: that begins behind what is to go.
//   - Cut closes the client. Nobody is ever waited for.
//   - Skip moves the client on to the oldest message that is kept whole, and
//     logs how many it missed. It sees whole messages only: when it stands
//     inside one, it gets the rest of it first.
//
// Taken is what the client acknowledged, never what was sent: a healthy
// reader of 1 MB a second leaves gaps of almost two seconds between sends,
// for the socket buffer is large, but hardly any between acknowledgements.
//
// With nobody connected nobody is waited for: the oldest messages go, and are
// counted and logged if nobody has heard them.
type Slow uint8

const (
	Wait Slow = iota // pace the source to the slowest client, but not below MinRate
	Cut              // close a client that is lapped
	Skip             // let a client that is lapped miss what is gone
)

// ParseSlow reads what the flag --slow takes: wait, cut or skip.
func ParseSlow(s string) (Slow, error) {
	for _, p := range []Slow{Wait, Cut, Skip} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("slow %q: must be wait, cut or skip", s)
}

func (s Slow) String() string {
	switch s {
	case Wait:
		return "wait"
	case Cut:
		return "cut"
	case Skip:
		return "skip"
	}
	return fmt.Sprintf("Slow(%d)", uint8(s))
}

// Replay says what a new client is sent first: Unheard, ReplayNone,
// ReplayAll, or, for a number N above 0, the last N messages.
type Replay int

const (
	Unheard    Replay = 0  // what nobody has heard yet
	ReplayNone Replay = -1 // nothing
	ReplayAll  Replay = -2 // all that is kept
)

// ParseReplay reads what the flag --replay takes: unheard, none, all or a
// number of messages.
func ParseReplay(s string) (Replay, error) {
	switch s {
	case "unheard":
		return Unheard, nil
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
	case Unheard:
		return "unheard"
	case ReplayNone:
		return "none"
	case ReplayAll:
		return "all"
	}
	return strconv.Itoa(int(r))
}

// Inbox is a set of event kinds.
type Inbox uint8

const (
	InboxAll      Inbox = 0      // messages, joins and leaves
	InboxMessages Inbox = 1 << 0 // messages
	InboxPresence Inbox = 1 << 1 // joins and leaves
	InboxNone     Inbox = 1 << 7 // none: what clients send is read and discarded
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
	LeaveFull      // there are MaxClients already
	LeaveDenied    // Admit refused it
)

func (c LeaveCode) String() string { return proto.Reason(c).String() }

// Cut reports whether the hub ended the client and went on serving others: it
// was kicked, too slow, idle, …
func (c LeaveCode) Cut() bool { return proto.Reason(c).Cut() }
