//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"hubbub.example"
	"hubbub.example/internal/stdio"
)

// readStdin brings STDIN to the clients, once enough of them are there. The
// hub sees to it that STDIN is not made nonblocking: the flag is shared with
// the shell and with other programs.
func (s *server) readStdin(ctx context.Context) {
	err := s.broadcastStdin(ctx)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, hubbub.ErrClosed):
	case s.eof == eofExit:
		s.exhausted <- err
	case err != nil:
		s.log.Warn(err.Error() + "; serving on without")
	default:
		s.log.Debug("STDIN is at its end; serving on")
	}
}

func (s *server) broadcastStdin(ctx context.Context) error {
	if fd, ok := stdio.Descriptor(s.stdin); ok && term.IsTerminal(fd) && !mayRead(fd) {
		return nil
	}
	if err := s.hub.WaitForClients(ctx, s.waitFor); err != nil {
		return err
	}
	if s.in == inJSON {
		return s.obeyStdin(ctx)
	}
	if err := s.hub.BroadcastFrom(ctx, s.stdin); err != nil {
		return fmt.Errorf("STDIN: %w", err)
	}
	return nil
}

// inFormat is what STDIN says.
type inFormat string

const (
	inPlain inFormat = "plain" // messages
	inJSON  inFormat = "json"  // commands: commands.go
)

// obeyStdin does what STDIN says.
func (s *server) obeyStdin(ctx context.Context) error {
	in := reopened(s.stdin, os.O_RDONLY)
	if in != s.stdin {
		defer in.Close()
		defer context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Now()) })()
	}
	err := s.newCommands().obey(ctx, in)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, hubbub.ErrClosed) {
		return fmt.Errorf("STDIN: %w", err)
	}
	return err
}
