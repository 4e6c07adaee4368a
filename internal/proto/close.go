package proto

// CloseCode is a WebSocket close code (RFC 6455, section 7.4, and IANA's
// registry).
type CloseCode uint16

// Close codes.
const (
	CloseNormal          CloseCode = 1000
	CloseGoingAway       CloseCode = 1001
	CloseProtocolError   CloseCode = 1002
	CloseUnsupportedData CloseCode = 1003
	CloseNoStatus        CloseCode = 1005 // a close frame without a code; never sent
	CloseAbnormal        CloseCode = 1006 // no close frame; never sent
	CloseInvalidPayload  CloseCode = 1007
	ClosePolicyViolation CloseCode = 1008
	CloseTooBig          CloseCode = 1009
	CloseNoExtension     CloseCode = 1010
	CloseInternalError   CloseCode = 1011
	CloseServiceRestart  CloseCode = 1012
	CloseTryAgainLater   CloseCode = 1013
	CloseBadGateway      CloseCode = 1014
)

// Sendable reports whether c may stand in a close frame: it is registered, and
// does not stand for what was not sent, or belongs to a library or application.
func (c CloseCode) Sendable() bool {
	switch c {
	case 1004, CloseNoStatus, CloseAbnormal:
		return false
	}
	return CloseNormal <= c && c <= CloseBadGateway || 3000 <= c && c <= 4999
}

// Retry reports whether a client that a server closed with c connects again,
// because that might end in another way. A policy violation is final for some
// reasons only.
func (c CloseCode) Retry() bool {
	switch c {
	case CloseProtocolError, CloseInvalidPayload, CloseTooBig:
		return false
	}
	return true
}
