//go:build unix && !linux

package main

import (
	"time"

	"hubbub.example/internal/join"
	"hubbub.example/internal/sock"
)

const hasHealth = true

// health knows only what the server has not acknowledged. A server that is gone
// while data is in flight to it is detected when the kernel gives up.
func health(fd int, _ bool, _ time.Duration) (h join.Health) {
	h.Unacked, _ = sock.Unacked(fd)
	return h
}
