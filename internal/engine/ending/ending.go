// Package ending has the reasons why a client is closed, and how long its
// connection lingers after that.
//
//	Reason  why: decided by what finds it, never read from its text
//	Linger  how long: linger.go
package ending

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
)

// Reason is why a client ends. The zero value says that it goes on.
type Reason struct {
	Kind proto.Reason
	Text string          // for people
	Code proto.CloseCode // the close code of a WebSocket, where it is not its Kind's
}

// Because makes a reason; its text is formatted.
func Because(kind proto.Reason, format string, args ...any) Reason {
	return Reason{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Done returns a client that had nothing more to say.
func Done() Reason { return Reason{Kind: proto.ReasonDone, Text: "done"} }

// Shutdown returns the end of the hub.
func Shutdown() Reason { return Reason{Kind: proto.ReasonShutdown, Text: "shutdown"} }

// Kicked returns a client that the caller closes; why may be empty.
func Kicked(why string) Reason {
	if why == "" {
		return Reason{Kind: proto.ReasonKicked, Text: "kicked"}
	}
	return Because(proto.ReasonKicked, "kicked: %s", why)
}

// TooLong returns a client that sent a message of more than longest bytes.
func TooLong(longest int) Reason {
	return Because(proto.ReasonTooLong, "sent a message longer than %s", quantity.Bytes(int64(longest)))
}

// Lapped returns a client that is so many bytes behind, and stands in what is gone.
func Lapped(behind int64) Reason {
	return Because(proto.ReasonLapped, "lapped (%s behind)", quantity.Bytes(behind))
}

// LappedInside is Lapped for one that stands inside a message whose rest cannot
// be kept for it.
func LappedInside(behind int64) Reason {
	return Because(proto.ReasonLapped, "lapped inside a message (%s behind), and what such clients must still get of theirs fills another backlog", quantity.Bytes(behind))
}

// TooSlow returns the reason for a client that is this many bytes behind and took
// less than rate bytes a second over the last patience.
func TooSlow(behind, rate int64, patience time.Duration) Reason {
	return Because(proto.ReasonSlow, "too slow (%s behind, took less than %s/s over the last %s)", quantity.Bytes(behind), quantity.Bytes(rate), patience)
}

// PrivateFull returns a client for which so many bytes of private messages wait; why
// says why that is too much.
func PrivateFull(bytes int, why string) Reason {
	return Because(proto.ReasonOverQuota, "takes no private messages (%s wait %s)", quantity.Bytes(bytes), why)
}

// Idle returns a client that had no byte either way for so long.
func Idle(limit time.Duration) Reason { return Because(proto.ReasonIdle, "idle for %s", limit) }

// Breach returns a client that broke its protocol. The code is what its WebSocket
// is closed with.
func Breach(code proto.CloseCode, text string) Reason {
	return Reason{Kind: proto.ReasonBreach, Text: text, Code: code}
}

// Closed returns a client that closed its WebSocket with code, which it gets back.
// A code that does not mean that all is well stands in the text.
func Closed(code proto.CloseCode) Reason {
	r := Done()
	switch r.Code = code; code {
	case proto.CloseNormal, proto.CloseGoingAway, proto.CloseNoStatus:
	default:
		r.Text = fmt.Sprintf("closed with %d", code)
	}
	return r
}

// ErrAbrupt is a WebSocket whose connection ended without a close frame.
var ErrAbrupt = errors.New("the connection ended without a close frame")

// Lost returns a connection that broke with err.
func Lost(err error) Reason {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reason{Kind: proto.ReasonReset, Text: "reset"}
	case errors.Is(err, ErrAbrupt):
		return Reason{Kind: proto.ReasonReset, Text: err.Error()}
	case errors.Is(err, syscall.ETIMEDOUT):
		return Reason{Kind: proto.ReasonDead, Text: err.Error()}
	}
	return Reason{Kind: proto.ReasonLost, Text: err.Error()}
}

// Cut reports whether the hub ended the client and went on serving others.
func (r Reason) Cut() bool { return r.Kind.Cut() }

// CloseCode returns the code of the client's close frame.
func (r Reason) CloseCode() proto.CloseCode {
	if r.Code != 0 {
		return r.Code
	}
	return r.Kind.CloseCode()
}

// Grouped returns how the log groups clients that ended for reasons of this kind.
func (r Reason) Grouped() logger.Kind {
	return logger.Kind{Of: "closed: " + groups[r.Kind], Code: r.Kind.String()}
}

// groups is what clients of each kind have in common.
var groups = [...]string{
	proto.ReasonDone:      "done",
	proto.ReasonReset:     "reset",
	proto.ReasonDead:      "dead",
	proto.ReasonLost:      "connection lost",
	proto.ReasonShutdown:  "shutdown",
	proto.ReasonKicked:    "kicked",
	proto.ReasonReplaced:  "replaced by newer connections of their sessions",
	proto.ReasonLapped:    "lapped",
	proto.ReasonSlow:      "too slow",
	proto.ReasonIdle:      "idle",
	proto.ReasonTooLong:   "message too long",
	proto.ReasonBreach:    "protocol error",
	proto.ReasonOverQuota: "too much held for them",
	proto.ReasonFull:      "server full",
	proto.ReasonDenied:    "denied",
}
