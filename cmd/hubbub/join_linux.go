package main

import (
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/join"
	"hubbub.example/internal/sock"
)

const hasHealth = true

// health detects what the kernel's keepalive cannot: a server that is gone while
// data is in flight to it. The kernel would retransmit it for a quarter of an
// hour. A server that merely does not read still acknowledges the kernel's
// probes, at least twice in keepAlive where the kernel can be told to send that
// many.
func health(fd int, tcp bool, keepAlive time.Duration) (h join.Health) {
	h.Unacked, _ = sock.Unacked(fd)
	if !tcp {
		return h
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return h
	}
	probed := info.Retransmits > 0 || info.Probes > 0
	silence := time.Duration(info.Last_ack_recv) * time.Millisecond
	h.Silent = keepAlive > 0 && probed && silence >= keepAlive*3/2
	h.Closed = info.State == tcpClose
	return h
}

// tcpClose is TCP_CLOSE (netinet/tcp.h).
const tcpClose = 7
