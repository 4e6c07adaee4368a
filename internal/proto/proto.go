// Package proto is hubbub's own protocol, hubbub.v1, and what the other
// protocols share with it, as values and bytes without I/O. Server and client
// both read their constants here; docs/protocol.md describes them.
//
//	proto.go   the names of the subprotocol and its messages
//	close.go   WebSocket close codes, and whether a client connects again
//	name.go    what a client may be called
//	point.go   resume points, EPOCH-SEQ
//	json.go    JSON strings
package proto

// Subprotocol is the WebSocket subprotocol to ask for.
const Subprotocol = "hubbub.v1"

// Types of messages.
const (
	Hello     = "hello"
	Message   = "message"
	Private   = "private"
	Skipped   = "skipped"
	Passed    = "passed"
	Ack       = "ack"
	Heartbeat = "heartbeat"
	End       = "end"
	Closing   = "close"
)
