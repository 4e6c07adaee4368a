//go:build unix

package engine

import "sync/atomic"

// Stats is what a hub counts.
type Stats struct {
	Clients     int   // connected now
	Joins       int64 // clients that ever came
	Refused     int64 // connections refused: full, or out of descriptors
	MessagesIn  int64 // from clients
	BytesIn     int64
	Broadcasts  int64 // messages broadcast
	BytesOut    int64 // sent to clients, all together
	Sends       int64 // system calls that sent them
	Skipped     int64 // messages that slow clients missed, all together
	Lost        int64 // messages dropped that nobody had heard
	LogsDropped int64 // log lines that found the log's queue full
}

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

// Stats is what the hub has counted up to now.
func (h *Engine) Stats() Stats {
	s := Stats{
		Clients:     int(h.gate.Clients()),
		Refused:     h.gate.Refused(),
		Broadcasts:  int64(h.backlog.Count()),
		Lost:        h.backlog.Lost(),
		LogsDropped: h.log.Dropped(),
	}
	for _, l := range h.loops {
		for i, sum := range []*int64{&s.Joins, &s.MessagesIn, &s.BytesIn, &s.BytesOut, &s.Sends, &s.Skipped} {
			*sum += l.stats.shown[i].Load()
		}
	}
	return s
}
