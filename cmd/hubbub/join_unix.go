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

// keepAlive has the system probe the server after it was silent for so long.
func keepAlive(c *net.TCPConn, silent time.Duration) error {
	return onConn(c, func(fd int) error {
		if err := sock.SetKeepAlive(fd, silent); err != nil {
			return err
		}
		_ = sock.BoundProbes(fd, silent/2) // where the kernel can
		return nil
	})
}
