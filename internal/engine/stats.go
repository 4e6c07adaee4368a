//go:build unix

package engine

import "sync/atomic"

// loopStats is one loop's part. Only the loop counts; publish shows it.
type loopStats struct {
	joins, bytesIn, bytesOut, sends, skipped int64

	shown [6]atomic.Int64
}

// publish shows what changed.
func (s *loopStats) publish(messagesIn int64) {
	for i, n := range [...]int64{s.joins, messagesIn, s.bytesIn, s.bytesOut, s.sends, s.skipped} {
		if s.shown[i].Load() != n {
			s.shown[i].Store(n)
		}
	}
}
