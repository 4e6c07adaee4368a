package console

import (
	"context"
	"os"

	"golang.org/x/sys/windows"
)

// Fit reports whether in and out are a terminal that a console can be on.
func Fit(in, out *os.File) bool { return isTerminal(in) && isTerminal(out) }

// control has nothing to do: here nothing is suspended.
func (c *Console) control(context.Context) error { return nil }

// obeyEscapes has the terminal obey escape sequences, until restore is called.
func obeyEscapes(out *os.File) (restore func(), err error) {
	var before uint32
	console := windows.Handle(out.Fd())
	if err := windows.GetConsoleMode(console, &before); err != nil {
		return nil, os.NewSyscallError("GetConsoleMode", err)
	}
	mode := before | windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING | windows.DISABLE_NEWLINE_AUTO_RETURN
	if err := windows.SetConsoleMode(console, mode); err != nil {
		return nil, os.NewSyscallError("SetConsoleMode", err)
	}
	return func() { _ = windows.SetConsoleMode(console, before) }, nil
}
