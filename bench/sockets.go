//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// What the kernel holds for a server's sockets, asked of sock_diag(7), as ss(8)
// does it. /proc/net/sockstat has the sum over every TCP socket of the machine.

const (
	diagRequest = 16 + 56 // netlink's header and struct inet_diag_req_v2
	diagHeader  = 72      // struct inet_diag_msg; attributes follow
	skMemInfo   = 7       // INET_DIAG_SKMEMINFO
)

// Of the attribute's array, what is accounted as socket memory: received and
// not read, queued to be sent or acknowledged, and reserved in advance.
var skMemory = []int{0, 5, 4} // SK_MEMINFO_RMEM_ALLOC, _WMEM_QUEUED, _FWD_ALLOC

// States in which a connection has memory, those after a close among them.
const alive = 1<<12 - 1 - 1<<unix.BPF_TCP_TIME_WAIT - 1<<unix.BPF_TCP_LISTEN

// socketMemory is what the kernel holds for all connections whose local port
// this is, in bytes.
func socketMemory(port int) (int64, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, askForMemory(port), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 64<<10)
	for sum := int64(0); ; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return 0, os.NewSyscallError("recvfrom", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return 0, err
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return sum, nil
			case unix.NLMSG_ERROR:
				return 0, syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
			}
			sum += memoryIn(m.Data)
		}
	}
}

func askForMemory(port int) []byte {
	p := make([]byte, diagRequest)
	binary.NativeEndian.PutUint32(p[0:], diagRequest)
	binary.NativeEndian.PutUint16(p[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(p[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	p[16], p[17], p[18] = unix.AF_INET, unix.IPPROTO_TCP, 1<<(skMemInfo-1)
	binary.NativeEndian.PutUint32(p[20:], alive)
	binary.BigEndian.PutUint16(p[24:], uint16(port))
	return p
}

// memoryIn finds the attribute in what is said of one socket.
func memoryIn(message []byte) (sum int64) {
	for p := message[min(diagHeader, len(message)):]; len(p) >= 4; {
		size := int(binary.NativeEndian.Uint16(p))
		if size < 4 || size > len(p) {
			return sum
		}
		if binary.NativeEndian.Uint16(p[2:]) == skMemInfo {
			for _, i := range skMemory {
				sum += int64(binary.NativeEndian.Uint32(p[4+4*i:]))
			}
		}
		p = p[min((size+3)&^3, len(p)):]
	}
	return sum
}
