//go:build unix

package backlog

import "hubbub.example/internal/feed"

// View is what a shard knows of the feeds during one turn: it sends no further
// than the heads that it has seen. It must not be kept beyond the turn.
type View struct {
	log     *Log
	feeds   [Encodings]*feed.Feed
	heads   [Encodings]int64
	targets [Encodings]int64
	share   int64
}

// Feed is an encoding's feed.
func (v *View) Feed(e Encoding) *feed.Feed { return v.feeds[e] }

// Head is up to where an encoding's feed is sent.
func (v *View) Head(e Encoding) int64 { return v.heads[e] }

// Target is where an encoding's feed must be left.
func (v *View) Target(e Encoding) int64 { return v.targets[e] }

// Share is what of the backlog each feed has to itself.
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
