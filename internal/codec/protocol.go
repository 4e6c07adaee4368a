// Package codec encodes and decodes messages. It does no I/O: the caller keeps
// incomplete messages.
package codec

// Protocol is the protocol of a client.
type Protocol uint8

// The protocols.
const (
	ProtocolRaw       Protocol = iota // bare TCP or a Unix socket
	ProtocolText                      // HTTP, a plain stream
	ProtocolSSE                       // HTTP, server-sent events
	ProtocolWebSocket                 // without a subprotocol
	ProtocolV1                        // hubbub.v1
	ProtocolPost                      // HTTP, messages in a body
	Protocols                         // how many there are
)

// String returns the protocol's name in events and reports.
func (p Protocol) String() string {
	return [...]string{"raw", "text", "sse", "websocket", "hubbub.v1", "post"}[p]
}

// Framed reports whether p sends WebSocket frames.
func (p Protocol) Framed() bool { return p == ProtocolWebSocket || p == ProtocolV1 }

// Beats reports whether clients of p are sent heartbeats and notices.
func (p Protocol) Beats() bool { return p == ProtocolV1 || p == ProtocolSSE }
