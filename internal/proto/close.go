package proto

import "fmt"

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

// closeCodes is what is known of each code. Codes that are not in it, those of
// libraries and applications among them, are sendable and worth another try.
var closeCodes = map[CloseCode]struct {
	name   string
	unsent bool // stands for what was not sent: never in a close frame
	final  bool // another connection would end the same way
}{
	CloseNormal:          {name: "normal closure"},
	CloseGoingAway:       {name: "going away"},
	CloseProtocolError:   {name: "protocol error", final: true},
	CloseUnsupportedData: {name: "unsupported data"},
	1004:                 {name: "reserved", unsent: true},
	CloseNoStatus:        {name: "no status", unsent: true},
	CloseAbnormal:        {name: "abnormal closure", unsent: true},
	CloseInvalidPayload:  {name: "invalid payload", final: true},
	ClosePolicyViolation: {name: "policy violation"},
	CloseTooBig:          {name: "message too big", final: true},
	CloseNoExtension:     {name: "missing extension"},
	CloseInternalError:   {name: "internal error"},
	CloseServiceRestart:  {name: "service restart"},
	CloseTryAgainLater:   {name: "try again later"},
	CloseBadGateway:      {name: "bad gateway"},
}

// Sendable reports whether c may stand in a close frame.
func (c CloseCode) Sendable() bool {
	if c > CloseBadGateway {
		return 3000 <= c && c <= 4999 // of libraries and applications
	}
	return c >= CloseNormal && !closeCodes[c].unsent
}

// Retry reports whether a client that a server closed with c connects again.
// A policy violation is final for some reasons only.
func (c CloseCode) Retry() bool { return !closeCodes[c].final }

func (c CloseCode) String() string {
	if known, ok := closeCodes[c]; ok {
		return fmt.Sprintf("%s (%d)", known.name, uint16(c))
	}
	return fmt.Sprintf("close code %d", uint16(c))
}
