//go:build unix

package scene

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// DialNarrow connects as over an ordinary network: the huge segments and
// buffers of the loopback would hide that the peer does not read.
func DialNarrow(t testing.TB, address string) *Peer {
	t.Helper()
	return dialAs(t, address, Narrow(address))
}

// Narrow returns a socket small buffers and segments before it connects to
// address.
func Narrow(address string) func(fd int) error {
	return func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
			return err
		}
		if strings.HasPrefix(address, "unix:") {
			return nil
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1448)
	}
}

// Arrived returns how many bytes wait in the socket to be read.
func (p *Peer) Arrived() int {
	p.T.Helper()
	fd, err := Descriptor(p.Conn)
	if err != nil {
		p.T.Fatal(err)
	}
	n, _, err := unix.Recvfrom(fd, make([]byte, 1<<20), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		p.T.Fatal(err)
	}
	return max(n, 0)
}

// SocketPair is socketpair(2), of Unix stream sockets. Both close with the test.
func SocketPair(t testing.TB) (one, other *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range pair {
		unix.CloseOnExec(fd)
	}
	one, other = os.NewFile(uintptr(pair[0]), "one"), os.NewFile(uintptr(pair[1]), "other")
	t.Cleanup(func() { _, _ = one.Close(), other.Close() })
	return one, other
}
