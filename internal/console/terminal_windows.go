package console

import (
	"context"
	"os"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/windows"
)

// Fit reports whether in and out are a terminal that a console can be on.
func Fit(in, out *os.File) bool { return isTerminal(in) && isTerminal(out) }

func isTerminal(f *os.File) bool {
	var mode uint32
	return windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) == nil
}

// control has nothing to do: here nothing is suspended.
func (c *Console) control(context.Context, *tea.Program) error { return nil }

// tty writes to a terminal.
type tty struct{ *os.File }
