//go:build unix

package engine

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/sock"
)

// sockets is how every socket is set.
type sockets struct {
	onListener  []sock.Setting
	onClient    []sock.Setting
	closeSleeps bool // SO_LINGER is set
	keepAlive   time.Duration
}

// newSockets reads NAME=VALUE pairs.
func newSockets(pairs []string, keepAlive time.Duration) (sockets, error) {
	x := sockets{keepAlive: keepAlive}
	for _, pair := range pairs {
		s, err := sock.Parse(pair)
		if err != nil {
			return x, err
		}
		if s.OnListener() {
			x.onListener = append(x.onListener, s)
		}
		if s.OnClient() {
			x.onClient = append(x.onClient, s)
		}
		if s.Option.Name == "SO_LINGER" || s.Option.Name == "SO_LINGER_SEC" {
			x.closeSleeps = true
		}
	}
	return x, nil
}

// prepare sets what accepted sockets inherit from their listener.
func (x *sockets) prepare(fd int, isUnix bool) error {
	if !isUnix {
		if err := x.prepareTCP(fd); err != nil {
			return err
		}
	}
	for _, s := range x.onListener {
		if err := s.Set(fd); err != nil {
			return err
		}
	}
	return nil
}

func (x *sockets) prepareTCP(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt TCP_NODELAY", err)
	}
	if err := sock.BoundUnsent(fd, link.Unsent); err != nil {
		return err
	}
	if x.keepAlive <= 0 {
		return nil
	}
	// An older kernel cannot: then a peer that pauses and dies is found later.
	_ = sock.BoundProbes(fd, x.keepAlive/checksPerKeepAlive)
	return sock.SetKeepAlive(fd, x.keepAlive)
}

// prepareClient sets what a client's socket does not inherit.
func (x *sockets) prepareClient(fd int, isUnix bool) error {
	for _, s := range x.onClient {
		if s.Option.TCPOnly && isUnix {
			continue
		}
		if err := s.Set(fd); err != nil {
			return err
		}
	}
	return nil
}
