//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"hubbub.example"
)

// This file is the life of a server:
//
//	serve      makes the hub, opens the addresses and announces them
//	run        has the source and the sink work until there is a reason to end
//	end        delivers what is left, for as long as --drain allows
//
// Where messages come from is a source: stdin.go, child.go, and the keyboard
// in console.go. Where clients' messages go is a sink: stdout.go, child.go and
// console.go.

func newServeCommand(e env) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:     "serve [ADDRESS ...] [flags] [-- COMMAND [ARG ...]]",
		Short:   "the server",
		Long:    serveLong,
		Example: serveExamples,
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
			return serve(e, &f, addresses)
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if cmd.ArgsLenAtDash() >= 0 { // a command and its arguments
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	addFlags(cmd, f.groups()...)
	return cmd
}

// A source brings messages to the clients.
type source interface {
	// bring returns why the server must end, or nil if it serves on without
	// the source.
	bring() error

	// stop ends a source that has something left to say when it ends, and
	// waits for that until limit is done. The hub ends all others.
	stop(limit context.Context)
}

// A sink takes what clients send, until the hub is closed (nil) or until it
// can take no more.
type sink interface{ take() error }

// nothing is the source of --recv-only, and the sink where none is needed.
type nothing struct{}

func (nothing) bring() error         { return nil }
func (nothing) stop(context.Context) {}
func (nothing) take() error          { return nil }

// Why a server ends when nothing has failed.
var (
	errStopped   = errors.New("stopped")   // by a signal, or at the console
	errExhausted = errors.New("exhausted") // the source is, and --eof exit
)

// server is a hub between a source and a sink.
type server struct {
	env
	*serveFlags
	hub     *hubbub.Hub
	at      []hubbub.Address
	log     *slog.Logger
	signals chan os.Signal
	console *serveConsole // nil: there is none
	roster  *roster       // the clients that a program knows of
	room    *chat         // nil without --chat
	render  func(*hubbub.Batch) []byte
}

// serve runs a server until a signal, the end of STDIN (--eof exit) or the
// loss of STDOUT.
func serve(e env, f *serveFlags, addresses []string) error {
	s := &server{env: e, serveFlags: f, signals: make(chan os.Signal, 2), roster: newRoster()}
	signal.Notify(s.signals, stopSignals()...)
	defer time.AfterFunc(oneInstant, func() { signal.Stop(s.signals) }) // one that came with another must not kill

	s.console = newConsole(s)
	announced := make(chan struct{})
	s.log = f.log.logger(&gate{s.logWriter(), announced})
	if err := s.makeHub(); err != nil {
		return err
	}
	defer func() { _ = s.hub.Close() }()
	at, err := listen(s.hub, addresses)
	s.at = at
	go s.announce(announced)
	if err != nil {
		return err
	}
	defer waitFor(announced, time.Second) // a STDERR that nobody reads must not keep the process
	s.render = s.renderer()
	if s.console != nil {
		defer s.console.open()()
	}
	return s.run()
}

// logWriter returns where the log goes: STDERR, or above the console's prompt.
func (s *server) logWriter() io.Writer {
	if s.console != nil && s.console.hasLog {
		return s.console.Log()
	}
	return s.stderr
}

// makeHub makes the hub that the flags ask for. What it refuses is a usage
// error, unless the system refused it.
func (s *server) makeHub() error {
	o := s.options
	o.Logger = s.log
	o.Inbox = s.inbox()
	if o.Loops == 0 {
		o.Loops = min(runtime.GOMAXPROCS(0), hubbub.MaxLoops) // respects a container's share
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

// announce reports where the server listens, whatever the log level: whoever
// started it waits for these lines. Then it lets the log begin.
func (s *server) announce(announced chan<- struct{}) {
	defer close(announced)
	for _, a := range s.at {
		s.serveFlags.log.announce(s.logWriter(), a.String())
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

// ends are where messages come from and where clients' messages go.
func (s *server) ends() (source, sink) {
	switch {
	case len(s.command) > 0:
		c := newChildCommand(s)
		return c, c
	case s.console != nil:
		return nothing{}, s.console
	}
	var from source = nothing{}
	if !s.recvOnly {
		from = stdin{s}
	}
	if s.inbox() == hubbub.InboxNone {
		return from, nothing{}
	}
	return from, stdout{s}
}

// work is a server's source and sink at work.
type work struct {
	source
	taken chan struct{} // closed when the sink has all that clients sent, or that is discarded
	lost  chan error    // why the sink takes no more
}

// run has the source and the sink work. The first that returns an error gives
// the reason to end.
func (s *server) run() error {
	from, to := s.ends()
	w := &work{from, make(chan struct{}), make(chan error, 1)}
	failed := make(chan struct{})
	running, ctx := errgroup.WithContext(context.Background())
	running.Go(func() error { defer close(failed); return s.hub.Wait() })
	running.Go(func() error { return s.receive(to, w) })
	running.Go(w.bring)
	if s.console != nil {
		running.Go(s.console.bring)
	}

	select {
	case <-ctx.Done():
	case <-s.signals:
		return s.end(errStopped, w)
	}
	select {
	case <-failed: // nobody else closes the hub before end
		waitFor(w.taken, lastMoment)
		return context.Cause(ctx)
	default:
		return s.end(context.Cause(ctx), w)
	}
}

// receive has the sink take what clients send. When the sink is lost the rest
// is discarded, so that no client waits for it.
func (s *server) receive(to sink, w *work) error {
	err := to.take()
	if err == nil {
		close(w.taken)
		return nil
	}
	w.lost <- err
	go func() {
		defer close(w.taken)
		_ = eachBatch(context.Background(), s.hub, func(b *hubbub.Batch) error {
			_ = s.render(b) // with --relay and --chat it goes to the others
			return nil
		})
	}()
	return err
}

// end drains. After the end of the source, --drain is how long clients may make
// no progress; after any other reason, such as a signal, it is all the time
// there is. A signal while draining has the same effect; the next one ends the
// server at once.
func (s *server) end(reason error, w *work) error {
	limit, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	var hurried time.Time
	hurry := func() {
		hurried = time.Now()
		time.AfterFunc(s.drain, giveUp)
	}
	if !errors.Is(reason, errExhausted) {
		hurry()
	}
	if errors.Is(reason, errExhausted) || errors.Is(reason, errStopped) {
		reason = nil
	}
	drained := make(chan error, 1)
	go func() { drained <- s.drainAll(limit, w, reason) }()
	for {
		select {
		case err := <-drained:
			return errors.Join(reason, err)
		case <-s.signals:
			switch {
			case hurried.IsZero():
				hurry()
			case time.Since(hurried) > oneInstant:
				return errors.Join(reason, errors.New("second signal: stopped before everything was delivered"))
			}
		}
	}
}

// drainAll brings what is left to the clients and to the sink. Reason is the error
// that began it, which it does not return again.
func (s *server) drainAll(limit context.Context, w *work, reason error) error {
	w.stop(limit)
	err := s.hub.Drain(limit, s.drain)
	select {
	case <-w.taken:
	case <-limit.Done():
		// The clients may have used up the time. The sink gets a moment.
		waitFor(w.taken, lastMoment)
	}
	select {
	case <-w.taken:
	default:
		err = errors.Join(err, errors.New("STDOUT is blocked: the last messages from clients are lost"))
	}
	select {
	case lost := <-w.lost:
		if lost != reason {
			err = errors.Join(err, lost)
		}
	default:
	}
	return err
}

const lastMoment = 250 * time.Millisecond
