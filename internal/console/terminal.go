package console

import (
	"os"

	"golang.org/x/term"
)

// tty is the terminal, to write to.
type tty struct{ *os.File }

// size returns the terminal's right now; 80 x 24 where it does not know.
func (t tty) size() (columns, rows int) {
	withDescriptor(t.File, func(fd int) { columns, rows, _ = term.GetSize(fd) })
	if columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}

func isTerminal(f *os.File) (is bool) {
	withDescriptor(f, func(fd int) { is = term.IsTerminal(fd) })
	return is
}

// withDescriptor leaves the file's mode as it is, which os.File.Fd may change.
func withDescriptor(f *os.File, do func(fd int)) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { do(int(fd)) })
	}
}
