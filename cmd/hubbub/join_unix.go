//go:build unix

package main

import (
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"hubbub.example/internal/join"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/stdio"
)

// input is STDIN, and what it is. A job that was started in the background
// leaves the terminal alone: to read from it would stop the job.
func input(f *os.File) (io.Reader, join.Input) {
	fd, ok := stdio.Descriptor(f)
	if !ok {
		return nil, join.Stream
	}
	if term.IsTerminal(fd) {
		if !mayRead(fd) {
			return nil, join.Terminal
		}
		return attentive{reopened(f, os.O_RDONLY)}, join.Terminal
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return f, join.File
	}
	return attentive{reopened(f, os.O_RDONLY)}, join.Stream
}

// mayRead says that nobody else reads the terminal, as the shell does when we
// are in the background. If that comes to be later (^Z, bg), reading shall
// fail, which counts as the end of STDIN: SIGTTIN would stop us, and with us
// everybody.
func mayRead(terminal int) bool {
	signal.Ignore(unix.SIGTTIN)
	group, err := unix.IoctlGetInt(terminal, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// attentive is patient's counterpart: it reads from a file that somebody who
// shares it may have made nonblocking.
type attentive struct{ f *os.File }

func (a attentive) Read(p []byte) (int, error) {
	for {
		n, err := a.f.Read(p)
		if !errors.Is(err, unix.EAGAIN) {
			return n, err
		}
		if fd, ok := stdio.Descriptor(a.f); ok {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		}
	}
}

// settle readies a connected socket. The options are set once more: net turns
// TCP_NODELAY on when it has connected.
func settle(c net.Conn, keepAlive time.Duration, settings []sock.Setting) error {
	raw, err := rawConn(c)
	if err != nil {
		return err
	}
	return onSocket(raw, func(fd int) error {
		if _, is := c.(*net.TCPConn); is && keepAlive > 0 {
			if err := sock.SetKeepAlive(fd, keepAlive); err != nil {
				return err
			}
			_ = sock.BoundProbes(fd, keepAlive/2) // where the kernel can
		}
		return setAll(fd, settings)
	})
}
