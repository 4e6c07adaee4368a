package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"

	"hubbub.example/internal/visible"
)

// logFlags are the flags that say what a command logs, and how.
type logFlags struct {
	format  logFormat
	quiet   bool
	verbose bool
}

type logFormat string

const (
	logText logFormat = "text" // a sentence for people
	logJSON logFormat = "json" // a record for programs
)

// group is the flags; more says what --verbose adds.
func (l *logFlags) group(more string) *flagGroup {
	g := newFlagGroup("What goes to STDERR")
	parsedFlag(g, &l.format, "log-format", "text", "text|json",
		"sentences, or one JSON object a line", choice(logText, logJSON))
	g.BoolVarP(&l.quiet, "quiet", "q", false, "errors only")
	g.BoolVarP(&l.verbose, "verbose", "v", false, more)
	return g
}

func (l *logFlags) check() error {
	if l.quiet && l.verbose {
		return usage("--quiet and --verbose do not go together")
	}
	return nil
}

// level: a cut, a refusal and whatever else an operator should know is a
// warning; joins and leaves are for debugging.
func (l *logFlags) level() slog.Level {
	switch {
	case l.quiet:
		return slog.LevelError
	case l.verbose:
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// logger logs to w.
func (l *logFlags) logger(w io.Writer) *slog.Logger {
	if l.format == logJSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l.level()}))
	}
	return slog.New(&sentences{w: w, level: l.level(), mu: new(sync.Mutex)})
}

// sentences is a slog.Handler for people: a record is its message, such as
//
//	hubbub: client 17 closed: lapped (64 MiB behind)
//
// The message says all, so attributes are left to the JSON format; so is the
// time, which whatever collects STDERR adds. A message may quote a stranger and
// STDERR may be a terminal: it stays one line, and control bytes are shown.
type sentences struct {
	w     io.Writer
	level slog.Level

	mu  *sync.Mutex
	buf []byte
}

func (s *sentences) Enabled(_ context.Context, level slog.Level) bool { return level >= s.level }

func (s *sentences) Handle(_ context.Context, r slog.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf[:0], "hubbub: "...)
	s.buf = visible.Append(s.buf, []byte(strings.ReplaceAll(r.Message, "\n", `\n`)))
	s.buf = append(s.buf, '\n')
	_, err := s.w.Write(s.buf)
	return err
}

func (s *sentences) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *sentences) WithGroup(string) slog.Handler      { return s }
