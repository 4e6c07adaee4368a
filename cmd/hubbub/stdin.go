//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"hubbub.example"
	"hubbub.example/internal/stdio"
)

// This file is STDIN as a source: once enough clients are there, its messages,
// or what its instructions ask for (stdin_json.go), go to the clients. STDIN is
// never made nonblocking: it shares that flag with the shell and with other
// programs.

// inFormat is what STDIN holds.
type inFormat string

const (
	inPlain inFormat = "plain" // messages
	inJSON  inFormat = "json"  // instructions
)

// stdin is STDIN as a source. It ends with the hub.
type stdin struct{ *server }

func (in stdin) stop(context.Context) {}

func (in stdin) bring() error {
	err := in.read()
	switch {
	case errors.Is(err, hubbub.ErrClosed):
	case in.eof == eofExit && err == nil:
		return errExhausted
	case in.eof == eofExit:
		return err
	case err != nil:
		in.log.Warn(err.Error() + "; serving on without STDIN")
	default:
		in.log.Debug("end of STDIN; serving on")
	}
	return nil
}

func (in stdin) read() error {
	ctx := context.Background()
	if fd, ok := stdio.Descriptor(in.stdin); ok && term.IsTerminal(fd) && !mayRead(fd) {
		return nil
	}
	err := in.hub.WaitForClients(ctx, in.waitFor)
	if err != nil {
		return err
	}
	if in.in == inJSON {
		f := reopened(in.stdin, os.O_RDONLY)
		if f != in.stdin {
			defer f.Close()
		}
		err = in.newInstructions().follow(ctx, f)
	} else {
		err = in.hub.BroadcastFrom(ctx, in.stdin)
	}
	if err != nil && !errors.Is(err, hubbub.ErrClosed) {
		return fmt.Errorf("STDIN: %w", err)
	}
	return err
}
