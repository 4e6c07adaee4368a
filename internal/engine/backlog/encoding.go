//go:build unix

package backlog

import (
	"sync/atomic"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/feed"
)

// Encoding is an encoding of messages. Clients of one encoding read the same bytes
// from one feed.
type Encoding uint8

// The encodings. The canonical feed always exists. Another is made when its first
// client joins, extends back as far as its clients ask, and is dropped some time
// after the last of them has left.
const (
	Canonical Encoding = iota // unchanged: raw clients and plain HTTP streams
	Frames                    // a WebSocket frame per message
	V1                        // hubbub.v1: a frame with a JSON object per message
	SSE                       // server-sent events
	Encodings                 // how many there are
)

// EncodingOf returns the encoding that clients of p read.
func EncodingOf(p codec.Protocol) Encoding {
	return [codec.Protocols]Encoding{codec.ProtocolSSE: SSE, codec.ProtocolWebSocket: Frames, codec.ProtocolV1: V1}[p]
}

// Encoders returns the encoders of the protocols, for Config.Encode.
func Encoders(epoch string) [Encodings]Encode {
	return [Encodings]Encode{
		Frames: func(dst []byte, m feed.Kept) []byte { return codec.AppendMessage(dst, m.Bytes) },
		V1: func(dst []byte, m feed.Kept) []byte {
			by := codec.By{}
			if m.Of != nil {
				by = codec.By{ID: m.Of.ID, Name: m.Of.Name}
			}
			return codec.AppendNumbered(dst, m.Seq, time.UnixMilli(m.At), by, m.Bytes)
		},
		SSE: func(dst []byte, m feed.Kept) []byte { return codec.AppendEvent(dst, epoch, m.Seq, m.Bytes) },
	}
}

// encodedFeed is one encoding's feed and its shared state.
type encodedFeed struct {
	feed    *feed.Feed
	floor   int64        // offsets below belong to an earlier feed
	target  atomic.Int64 // clients must leave the memory below: trim.go
	readers atomic.Int64 // clients, including joining ones
	left    atomic.Int64 // when the last of them left, Unix nanoseconds
}
