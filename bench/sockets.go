//go:build linux

package main

import (
	"encoding/binary"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What the kernel holds for a server's sockets, as ss(8) asks: sock_diag(7). The
// netlink package transports the question; it has none of its own for the memory
// of TCP sockets.

const (
	diagRequest = 56 // struct inet_diag_req_v2
	diagHeader  = 72 // struct inet_diag_msg; attributes follow
)

// These members of SK_MEMINFO are counted: received and not read, queued to be
// sent or acknowledged, and reserved in advance.
var skMemory = []int{0, 5, 4} // SK_MEMINFO_RMEM_ALLOC, _WMEM_QUEUED, _FWD_ALLOC

// States in which a connection has memory, including those after a close.
const alive = 1<<12 - 1 - 1<<unix.BPF_TCP_TIME_WAIT - 1<<unix.BPF_TCP_LISTEN

// socketMemory returns what the kernel holds for all connections with this local port,
// in bytes.
func socketMemory(port int) (sum int64, err error) {
	p := make([]byte, diagRequest)
	p[0], p[1], p[2] = unix.AF_INET, unix.IPPROTO_TCP, 1<<(netlink.INET_DIAG_SKMEMINFO-1)
	binary.NativeEndian.PutUint32(p[4:], alive)
	binary.BigEndian.PutUint16(p[8:], uint16(port))
	ask := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	ask.AddRawData(p)
	err = ask.ExecuteIter(unix.NETLINK_SOCK_DIAG, unix.SOCK_DIAG_BY_FAMILY, func(socket []byte) bool {
		attributes, _ := nl.ParseRouteAttr(socket[min(diagHeader, len(socket)):])
		for _, a := range attributes {
			if a.Attr.Type != netlink.INET_DIAG_SKMEMINFO {
				continue
			}
			for _, i := range skMemory {
				sum += int64(binary.NativeEndian.Uint32(a.Value[4*i:]))
			}
		}
		return true
	})
	return sum, err
}
