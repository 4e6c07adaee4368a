//go:build unix

package engine

import (
	"testing"
	"time"
)

// Patrols are a few in each of what they watch over.
func TestPatrolEvery(t *testing.T) {
	for _, c := range []struct {
		keepAlive, idle, want time.Duration
	}{
		{30 * time.Second, 0, 30 * time.Second / walksAKeepAlive},
		{30 * time.Second, 4 * time.Second, time.Second},
		{4 * time.Second, time.Hour, time.Second},
		{-1, 0, time.Hour},
		{-1, 8 * time.Second, 2 * time.Second},
		{1, 0, time.Millisecond},
		{-1, 1, time.Millisecond},
	} {
		if got := patrolEvery(Config{KeepAlive: c.keepAlive, IdleTimeout: c.idle}); got != c.want {
			t.Errorf("keepalive %v, idle %v: every %v, want %v", c.keepAlive, c.idle, got, c.want)
		}
	}
}
