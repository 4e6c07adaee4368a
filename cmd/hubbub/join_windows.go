package main

import (
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/term"

	"hubbub.example/internal/join"
	"hubbub.example/internal/visible"
)

// input is STDIN, and what kind of file it is.
func input(f *os.File) (io.Reader, join.Input) {
	info, err := f.Stat()
	switch {
	case term.IsTerminal(int(f.Fd())):
		return f, join.Terminal
	case err == nil && info.Mode().IsRegular():
		return f, join.File
	}
	return f, join.Stream
}

// stdoutWriter makes control bytes visible where a terminal would obey them.
func stdoutWriter(f *os.File) io.Writer {
	if term.IsTerminal(int(f.Fd())) {
		return visible.NewWriter(f)
	}
	return f
}

// reopened is f itself: files are never made nonblocking here.
func reopened(f *os.File, _ int) *os.File { return f }

// hungUp cannot tell: here only a write can.
func hungUp(*os.File) bool { return false }

// keepAlive has the system probe the server after it was silent for so long.
func keepAlive(c *net.TCPConn, silent time.Duration) error {
	idle := max(silent, time.Second)
	interval := max(idle/4, time.Second)
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: idle, Interval: interval, Count: max(1, min(3, int(idle/interval)-1))})
}

// Here the system cannot be asked about a connection.
const hasHealth = false

func health(int, bool, time.Duration) join.Health { return join.Health{} }
