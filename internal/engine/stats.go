//go:build unix

package engine

import "sync/atomic"

// loopStats are the counters of one shard. Only the shard counts; publish lets
// other goroutines read them.
type loopStats struct {
	joins, bytesIn, bytesOut, sends, skipped int64

	shown [6]atomic.Int64
}

// publish publishes what changed.
func (s *loopStats) publish(messagesIn int64) {
	for i, n := range [...]int64{s.joins, messagesIn, s.bytesIn, s.bytesOut, s.sends, s.skipped} {
		if s.shown[i].Load() != n {
			s.shown[i].Store(n)
		}
	}
}
