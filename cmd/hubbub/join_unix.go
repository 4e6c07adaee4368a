//go:build unix

package main

import (
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

// input is STDIN, and what kind of file it is. A job that was started in the
// background must not read from the terminal: that would stop it.
func input(f *os.File) (io.Reader, join.Input) {
	fd, ok := stdio.Descriptor(f)
	if !ok {
		return nil, join.Stream
	}
	if term.IsTerminal(fd) {
		if !mayRead(fd) {
			return nil, join.Terminal
		}
		return stdio.Patient{File: reopened(f, os.O_RDONLY)}, join.Terminal
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return f, join.File
	}
	return stdio.Patient{File: reopened(f, os.O_RDONLY)}, join.Stream
}

// mayRead reports whether we may read the terminal, which the shell reads when we
// are in the background. If we go there later (^Z, bg), reading fails, which
// counts as the end of STDIN. Without that SIGTTIN would stop us, and all clients
// with us.
func mayRead(terminal int) bool {
	signal.Ignore(unix.SIGTTIN)
	group, err := unix.IoctlGetInt(terminal, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// settle prepares a connected socket. The options are set once more: net turns
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
