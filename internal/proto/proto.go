// Package proto is hubbub's own protocol, hubbub.v1, and what the other
// protocols share with it, as values and bytes without I/O. Server and client
// both read their constants here; docs/protocol.md describes them.
//
//	proto.go    the names of the subprotocol and its messages
//	client.go   what a client sends
//	reason.go   why a connection ended
//	close.go    WebSocket close codes, and whether a client connects again
//	breach.go   close frames and breaches of the protocol, as errors
//	name.go     the rule for a client's name
//	point.go    resume points, EPOCH-SEQ
//	json.go     JSON strings
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
