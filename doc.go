//go:build unix

// Package hubbub is one nonblocking server for many clients. Every message
// broadcast goes to all clients, every message from any client comes out of
// one inbox, and nobody waits for a client that is out to lunch.
//
// Begin with [New], [Hub.Listen] and [Hub.Broadcast]; take what clients send
// with [Hub.Events]; end with [Hub.Drain] or [Hub.Close]. The command
// `hubbub serve` is a thin layer on this package.
//
// # The life of a line
//
//	source     a line is read from STDIN, or handed to Broadcast      source.go
//	feed       it is appended once, at the head                       broadcast.go, internal/feed
//	loops      each is woken once, however many lines came            loop.go
//	flush      each client gets what lies between its cursor and      flush.go
//	           the head, straight from the feed
//
// Clients that want it in another form, as WebSocket frames or as events, read
// feeds of their own, in which each message is encoded once          backlog
//
// and the other way:
//
//	client     bytes are read                                         read.go
//	intake     whole messages are split off; a loop's turn of them    internal/engine/intake
//	           is one batch
//	sink       Receive or Events gives them to the caller             events.go
//
// # A new connection
//
// Its first bytes tell what it speaks: stranger.go. HTTP is net/http's: a
// request goes to package internal/web, and a stream comes back: handover.go. A
// post is a client that comes and goes: post.go.
//
// # A slow client
//
// A client is a descriptor and a cursor, so one that lags costs nothing until
// the feed wants to forget what it has not had: then it holds the source for
// a while, is cut, or skips: slow.go decides, lag.go acts, backlog makes room.
//
// # Words
//
// hub: one server's room. client: one connection. feed: the append-only log
// of what was broadcast. cursor: a client's position in it. head: where the
// next message goes. lag: head - cursor. lapped: the cursor fell out of what
// is kept. loop: one event loop with its own poller and clients. inbox: what
// clients sent, and joins and leaves. source: where broadcasts come from.
// sink: where the inbox goes. seq: a broadcast's number. id: a client's. epoch:
// random for each hub; EPOCH-SEQ is a resume point. form: how messages look to a
// client. stranger: a connection of which it is not known yet what it speaks.
// aside: what one client is sent alone.
package hubbub
