//go:build unix && !linux

package main

import (
	"net"
	"time"

	"hubbub.example/internal/join"
	"hubbub.example/internal/sock"
)

// health knows only what the server has not acknowledged. A server that is gone
// while data is in flight to it is detected when the kernel gives up.
func health(join.Address, time.Duration) func(net.Conn) join.Health {
	return func(c net.Conn) (h join.Health) {
		if raw, err := rawConn(c); err == nil {
			_ = onSocket(raw, func(fd int) (err error) {
				h.Unacked, err = sock.Unacked(fd)
				return err
			})
		}
		return h
	}
}
