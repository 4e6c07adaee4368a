//go:build unix

package backlog

import "hubbub.example/internal/feed"

// View is a shard's snapshot of the feeds for one turn: the shard sends only up to
// these heads. It must not be kept beyond the turn.
type View struct {
	log     *Log
	feeds   [Encodings]*feed.Feed
	heads   [Encodings]int64
	targets [Encodings]int64
	share   int64
}

// Feed returns an encoding's feed.
func (v *View) Feed(e Encoding) *feed.Feed { return v.feeds[e] }

// Head returns up to where to send an encoding's feed.
func (v *View) Head(e Encoding) int64 { return v.heads[e] }

// Target returns the offset below which clients must leave an encoding's feed.
func (v *View) Target(e Encoding) int64 { return v.targets[e] }

// Share returns the part of the backlog that each feed has to itself.
func (v *View) Share() int64 { return v.share }

// AppendEncoded appends message seq, which the canonical feed keeps, in an
// encoding.
func (v *View) AppendEncoded(dst []byte, e Encoding, seq uint64) []byte {
	l := v.log
	l.feed.Each(seq, seq, func(m feed.Kept) {
		m.Bytes = m.Bytes[:len(m.Bytes)-l.config.Separator]
		dst = l.encode[e](dst, m)
	})
	return dst
}
