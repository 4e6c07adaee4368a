//go:build unix

// Package hubbub is a nonblocking server for many clients: it sends every
// message to all of them and receives what any of them sends, and a slow client
// costs the others nothing.
//
//	hub, err := hubbub.New(hubbub.Options{})
//	if err != nil { … }
//	if _, err := hub.Listen(":9000"); err != nil { … }
//	for e := range hub.Events(ctx) {
//		if e.Kind == hubbub.Message {
//			hub.Broadcast(ctx, e.Data) // everyone sees what anyone says
//		}
//	}
//
// Anything that opens a connection is a client: nc, a browser's WebSocket or
// EventSource, curl, `hubbub join`. One port serves them all; docs/protocol.md
// describes the protocols.
//
// # Sending
//
// [Hub.Broadcast] sends a message to everyone, [Hub.Send] to some clients only,
// [Hub.BroadcastFrom] everything that a file holds or a pipe delivers. All
// clients share one log of messages (the backlog), and each client is a position
// in it, so memory does not grow with the number of clients or with how far
// they lag. [Options.Slow] says what happens to a client that falls a whole
// backlog behind.
//
// # Receiving
//
// [Hub.Events] returns messages, joins and leaves, one by one; [Hub.Receive]
// returns them in batches, which is faster; [Hub.DeliverTo] writes messages to a
// file or a pipe. When the caller does not receive, the hub stops reading from
// clients and TCP slows them down.
//
// # Ending
//
// [Hub.Drain] lets every client have what was broadcast and reports what could
// not be delivered; [Hub.Close] closes at once.
//
// All methods of [Hub] may be called from any goroutine.
package hubbub
