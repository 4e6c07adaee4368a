//go:build unix

package engine

import (
	"testing"

	"hubbub.example/internal/engine/pump"
)

// A chunk is far smaller than the feed, however small that is.
func TestChunkIsFarSmallerThanTheFeed(t *testing.T) {
	for _, backlog := range []int64{minBacklog, 1 << 20, defaultBacklog} {
		h, err := New(Config{Backlog: backlog, Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(pump.NewChunker(h.framing, h.longest, int(h.backlog.Segment())).Space()); int64(got) > backlog/16 || got > pump.ChunkSize {
			t.Errorf("with a backlog of %d a chunk is %d", backlog, got)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}
