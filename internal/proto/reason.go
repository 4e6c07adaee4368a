package proto

// Reason says why a connection ended. Its name is part of the protocol
// (docs/protocol.md, "Why a connection ends") and never changes.
type Reason uint8

// The reasons. None is the zero value: the connection goes on.
const (
	ReasonNone Reason = iota

	// The client ended it, or the connection broke.
	ReasonDone  // it had nothing more to say
	ReasonReset // the connection was reset or closed without a close frame
	ReasonDead  // the peer stopped answering
	ReasonLost  // any other error of the connection

	// The server ended it.
	ReasonShutdown  // the server shuts down
	ReasonKicked    // the operator or the program closed it
	ReasonReplaced  // a newer connection has its session
	ReasonLapped    // it fell a whole backlog behind
	ReasonSlow      // it held up the source and took too little
	ReasonIdle      // no byte went either way for too long
	ReasonTooLong   // it sent a message that is too long
	ReasonBreach    // it broke the protocol
	ReasonOverQuota // the server held too much for it alone
	ReasonFull      // the server has no room for another client
	ReasonDenied    // the server does not admit it
)

// reasons is what follows from each reason.
var reasons = [...]struct {
	name  string
	close CloseCode // of a WebSocket
	cut   bool      // the server ended this client and serves the others
	final bool      // the same client would only end in the same way again
}{
	ReasonNone:      {"", 0, false, false},
	ReasonDone:      {"done", CloseNormal, false, false},
	ReasonReset:     {"reset", CloseAbnormal, false, false},
	ReasonDead:      {"dead", CloseAbnormal, false, false},
	ReasonLost:      {"lost", CloseAbnormal, false, false},
	ReasonShutdown:  {"shutdown", CloseGoingAway, false, false},
	ReasonKicked:    {"kicked", ClosePolicyViolation, true, true},
	ReasonReplaced:  {"replaced", ClosePolicyViolation, true, true},
	ReasonLapped:    {"lapped", ClosePolicyViolation, true, false},
	ReasonSlow:      {"slow", ClosePolicyViolation, true, false},
	ReasonIdle:      {"idle", ClosePolicyViolation, true, false},
	ReasonTooLong:   {"too_long", CloseTooBig, true, true},
	ReasonBreach:    {"breach", CloseProtocolError, true, true},
	ReasonOverQuota: {"quota", ClosePolicyViolation, true, false},
	ReasonFull:      {"full", ClosePolicyViolation, true, false},
	ReasonDenied:    {"denied", ClosePolicyViolation, true, true},
}

// String returns the reason's name in JSON: "lapped".
func (r Reason) String() string { return reasons[r].name }

// CloseCode returns the code of the close frame that ends a WebSocket.
func (r Reason) CloseCode() CloseCode { return reasons[r].close }

// Cut reports whether the server ended this client and went on serving others.
func (r Reason) Cut() bool { return reasons[r].cut }

// Retry reports whether the client connects again. Otherwise it would only end
// in the same way.
func (r Reason) Retry() bool { return !reasons[r].final }

// ParseReason returns the reason of that name. It is None for a name that only a
// later version knows.
func ParseReason(name string) Reason {
	for r := range reasons {
		if reasons[r].name == name {
			return Reason(r)
		}
	}
	return ReasonNone
}
