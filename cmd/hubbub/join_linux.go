package main

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/join"
	"hubbub.example/internal/sock"
)

// health detects what the kernel's keepalive cannot: a server that is gone while
// data is in flight to it. The kernel would retransmit it for a quarter of an
// hour. A server that merely does not read still acknowledges the kernel's
// probes, at least twice in keepAlive where the kernel can be told to send that
// many.
func health(address join.Address, keepAlive time.Duration) func(net.Conn) join.Health {
	return func(c net.Conn) (h join.Health) {
		raw, err := rawConn(c)
		if err != nil {
			return h
		}
		_ = onSocket(raw, func(fd int) error {
			h.Unacked, _ = sock.Unacked(fd)
			if address.Path != "" {
				return nil
			}
			info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				return err
			}
			probed := info.Retransmits > 0 || info.Probes > 0
			silence := time.Duration(info.Last_ack_recv) * time.Millisecond
			h.Silent = keepAlive > 0 && probed && silence >= keepAlive*3/2
			h.Closed = info.State == tcpClose
			return nil
		})
		return h
	}
}

// tcpClose is TCP_CLOSE (netinet/tcp.h).
const tcpClose = 7
