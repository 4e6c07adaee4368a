//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"

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
	if err := s.hub.BroadcastFrom(ctx, s.stdin); err != nil {
		return fmt.Errorf("STDIN: %w", err)
	}
	return nil
}
