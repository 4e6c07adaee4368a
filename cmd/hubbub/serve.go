//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hubbub.example"
	"hubbub.example/internal/console"
)

// This file is the life of a server:
//
//	serve      makes the hub, opens the addresses, starts source and sink
//	announce   says where it listens, before anything else is said
//	attend     waits for a reason to end
//	end        drains, as long as --drain allows

func newServeCommand(e env) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve",
		RunE: func(cmd *cobra.Command, addresses []string) error {
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				addresses, f.command = addresses[:n], addresses[n:]
			}
			if err := f.check(cmd.Flags().Changed, cmd.ArgsLenAtDash() >= 0); err != nil {
				return err
			}
			for _, a := range addresses {
				if err := hubbub.ParseAddress(a); err != nil {
					return &usageError{err}
				}
			}
			if len(addresses) == 0 {
				addresses = []string{"localhost:9000"}
			}
			return serve(cmd.Context(), e, &f, addresses)
		},
	}
	describe(cmd, serveHelp, f.groups()...)
	return cmd
}

// server is a hub between STDIN and STDOUT.
type server struct {
	env
	*serveFlags
	hub     *hubbub.Hub
	log     *slog.Logger
	signals chan os.Signal
	at      []hubbub.Address
	present *present         // as far as the command was told
	room    *chat            // nil: there is none
	says    io.Writer        // STDERR, or the console in front of it
	console *console.Console // nil: there is none

	render func(*hubbub.Batch) []byte // what STDOUT says of what clients did

	failed    chan error    // the hub has ended by itself
	exhausted chan error    // STDIN is at its end, and so shall we be
	broken    chan error    // STDOUT takes no more
	sunk      chan struct{} // closed when all from clients is on STDOUT, or discarded

	quit         chan struct{} // closed when somebody at the console has enough
	consoleEnded chan struct{} // closed when the terminal is given back

	stopCommand  context.CancelFunc
	killCommand  chan struct{} // closed when it has no time any more
	commandEnded chan struct{} // closed when nothing is left of it
}

// serve runs a server until a signal, the end of STDIN (--eof=exit), the loss
// of STDOUT or the end of ctx.
func serve(ctx context.Context, e env, f *serveFlags, addresses []string) error {
	s := &server{
		env: e, serveFlags: f,
		signals:   make(chan os.Signal, 2),
		failed:    make(chan error, 1),
		exhausted: make(chan error, 1),
		broken:    make(chan error, 1),
		sunk:      make(chan struct{}),
		present:   newPresent(),

		quit: make(chan struct{}), consoleEnded: make(chan struct{}),
		stopCommand: func() {}, killCommand: make(chan struct{}), commandEnded: make(chan struct{}),
	}
	signal.Notify(s.signals, stopSignals()...)
	defer time.AfterFunc(oneInstant, func() { signal.Stop(s.signals) }) // one that came with another must not kill

	announced := make(chan struct{})
	s.says = e.stderr
	s.openConsole()
	s.log = f.log.logger(&gate{s.says, announced})
	if err := s.makeHub(); err != nil {
		return err
	}
	defer func() { _ = s.hub.Close() }()
	at, err := listen(s.hub, addresses)
	s.at = at
	go announce(s.says, at, announced)
	if err != nil {
		return err
	}
	defer waitFor(announced, time.Second) // a STDERR nobody reads keeps nobody

	ctx, cancel := context.WithCancel(ctx)
	s.start(ctx)
	err = s.attend(ctx)
	cancel()
	<-s.consoleEnded
	return err
}

// makeHub makes the hub that the flags ask for. What it refuses is the command
// line's fault, unless the system refused it.
func (s *server) makeHub() error {
	o := s.options
	o.Logger = s.log
	o.Inbox = s.inbox()
	if o.Loops == 0 {
		o.Loops = min(runtime.GOMAXPROCS(0), hubbub.MaxLoops) // heeds a container's share
	}
	// A loop that waits keeps its P, so the others need one more.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), o.Loops+1))
	hub, err := hubbub.New(o)
	if s.hub = hub; err == nil {
		s.log = hub.Logger() // which never waits for STDERR
	}
	if _, system := errors.AsType[syscall.Errno](err); err != nil && !system {
		return &usageError{err}
	}
	return err
}

// listen opens all addresses, or none.
func listen(hub *hubbub.Hub, addresses []string) ([]hubbub.Address, error) {
	var at []hubbub.Address
	for _, a := range addresses {
		opened, err := hub.Listen(a)
		if err != nil {
			return nil, err
		}
		at = append(at, opened...)
	}
	return at, nil
}

// stopSignals are the signals that end a server: not those that whoever
// started it wanted ignored, as nohup does with SIGHUP and a shell with a
// background job's SIGINT.
func stopSignals() []os.Signal {
	var stop []os.Signal
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			stop = append(stop, s)
		}
	}
	return stop
}

// announce says where the server listens, whatever the log level: whoever
// started it waits for these lines.
func announce(stderr io.Writer, at []hubbub.Address, announced chan<- struct{}) {
	defer close(announced)
	for _, a := range at {
		_, _ = fmt.Fprintf(stderr, "listening on %s\n", a)
	}
}

// gate is a writer that holds every write back until it is open.
type gate struct {
	io.Writer
	open <-chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.Writer.Write(p)
}

// start starts what brings messages and what takes them.
func (s *server) start(ctx context.Context) {
	go func() {
		if err := s.hub.Wait(); err != nil {
			s.failed <- err
		}
	}()
	s.render = s.renderer()
	if s.console == nil {
		close(s.consoleEnded)
	} else {
		go s.runConsole(ctx)
	}
	if len(s.command) > 0 {
		// Not ctx: it ends with us, and the command is to end before.
		command, stop := context.WithCancel(context.WithoutCancel(ctx))
		s.stopCommand = stop
		go s.runCommand(command)
		return
	}
	close(s.commandEnded)
	if s.console != nil {
		go s.showInbox()
		return
	}
	if !s.recvOnly {
		go s.readStdin(ctx)
	}
	if s.inbox() == hubbub.InboxNone {
		close(s.sunk)
	} else {
		go s.writeStdout()
	}
}

// attend waits for a reason to end, and ends.
func (s *server) attend(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return s.end(ctx.Err(), true)
	case <-s.signals:
		return s.end(nil, true)
	case <-s.quit:
		return s.end(nil, true)
	case err := <-s.failed:
		waitFor(s.sunk, lastMoment)
		return err
	case err := <-s.broken:
		return s.end(err, true)
	case err := <-s.exhausted:
		return s.end(err, err != nil)
	}
}

// end drains. Clients may go --drain long without any progress; in haste, as
// after a signal, it is the whole time there is. A signal while draining makes
// haste; one in haste ends at once.
func (s *server) end(reason error, haste bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var hurried time.Time
	hurry := func() {
		hurried = time.Now()
		time.AfterFunc(s.drain, cancel)
	}
	if haste {
		hurry()
	}
	drained := make(chan error, 1)
	go func() { drained <- s.drainAll(ctx) }()
	for {
		select {
		case err := <-drained:
			return errors.Join(reason, err)
		case <-s.signals:
			switch {
			case hurried.IsZero():
				hurry()
			case time.Since(hurried) > oneInstant:
				return errors.Join(reason, errors.New("a second signal: ended before all was delivered"))
			}
		}
	}
}

// drainAll brings what is left to the clients and to STDOUT.
func (s *server) drainAll(ctx context.Context) error {
	s.endCommand(ctx)
	err := s.hub.Drain(ctx, s.drain)
	select {
	case <-s.sunk:
	case <-ctx.Done():
		// The clients may have used up the time. STDOUT gets a moment.
		waitFor(s.sunk, lastMoment)
	}
	select {
	case <-s.sunk:
	default:
		err = errors.Join(err, errors.New("STDOUT is blocked: what clients sent last is lost"))
	}
	select {
	case broken := <-s.broken:
		err = errors.Join(err, broken)
	default:
	}
	return err
}

const lastMoment = 250 * time.Millisecond

// waitFor waits until c is closed, but not longer than limit.
func waitFor(c <-chan struct{}, limit time.Duration) {
	select {
	case <-c:
	case <-time.After(limit):
	}
}
