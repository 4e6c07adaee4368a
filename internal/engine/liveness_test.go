//go:build unix

package engine

import (
	"testing"
	"time"
)

// There are a few liveness checks per period that they watch.
func TestLivenessEvery(t *testing.T) {
	for _, c := range []struct {
		keepAlive, idle, want time.Duration
	}{
		{30 * time.Second, 0, 30 * time.Second / checksPerKeepAlive},
		{30 * time.Second, 4 * time.Second, time.Second},
		{4 * time.Second, time.Hour, time.Second},
		{-1, 0, time.Hour},
		{-1, 8 * time.Second, 2 * time.Second},
		{1, 0, time.Millisecond},
		{-1, 1, time.Millisecond},
	} {
		if got := livenessEvery(Config{KeepAlive: c.keepAlive, IdleTimeout: c.idle}); got != c.want {
			t.Errorf("keepalive %v, idle %v: every %v, want %v", c.keepAlive, c.idle, got, c.want)
		}
	}
}
