//go:build unix

package hubbub

import "hubbub.example/internal/proto"

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
