package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"hubbub.example/internal/console"
)

// This file is what each signal does:
//
//	SIGTERM, SIGINT, SIGHUP  end hubbub in good order; a second one at once
//	SIGQUIT                  ends it at once
//	SIGPIPE                  is an error of the write (run, in main.go)
//	SIGTTIN                  is an error of the read (mayRead, in join_unix.go)
//	SIGTSTP, SIGCONT         stop it and have it go on (package console gives
//	                         the terminal back meanwhile)
//
// A signal that was ignored when hubbub started stays ignored where that can be
// known: nohup ignores SIGHUP, and a shell without job control ignores
// SIGINT and SIGQUIT in a background job. Of SIGHUP and SIGINT Go's runtime
// keeps what it found. For all others it installs its own handlers before main,
// and nobody can tell any more. So SIGTERM always ends hubbub. SIGQUIT counts as
// ignored if SIGINT is, since shells ignore both or neither.

// stopSignals are the signals that end hubbub in good order.
func stopSignals() []os.Signal {
	stop := []os.Signal{syscall.SIGTERM}
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			stop = append(stop, s)
		}
	}
	return stop
}

// oneInstant is how close signals are that count as one: timeout(1) sends its
// own to the program and to its group, systemd may send SIGHUP after SIGTERM.
const oneInstant = 20 * time.Millisecond

// endOnQuit has SIGQUIT (^\) end hubbub, in place of Go's trace of all
// goroutines. If it is ignored, a command that we start ignores it too.
func endOnQuit(stderr *os.File, format logFormat) {
	if signal.Ignored(syscall.SIGINT) {
		signal.Ignore(syscall.SIGQUIT)
		return
	}
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		console.GiveBack()
		tell(stderr, failure(format, errors.New("SIGQUIT: stopped before everything was delivered"), ""))
		os.Exit(exitFailed)
	}()
}
