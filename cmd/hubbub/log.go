package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"

	"hubbub.example/internal/visible"
)

// This file is what stands on STDERR. Each line is one of these, and with
// --log-format json each is a JSON object:
//
//	announce   where a server listens, whatever the log level
//	logger     the log
//	lines      what a command behind -- writes to its STDERR
//	failure    why hubbub exits, usage errors included
//
// Go's own report of a crash, which would be a bug, is the one exception: the
// runtime writes it.

// logFlags are the flags of the log.
type logFlags struct {
	format  logFormat
	quiet   bool
	verbose bool
}

type logFormat string

const (
	logText logFormat = "text" // a sentence per line, for people
	logJSON logFormat = "json" // an object per line, for programs
)

// logFormatIn is the --log-format that args ask for. It is known before they
// are parsed: what is wrong with them is reported in that format too.
func logFormatIn(args []string) logFormat {
	format := string(logText)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, is := strings.CutPrefix(arg, "--log-format="); is {
			format = value
		} else if arg == "--log-format" && i+1 < len(args) {
			format = args[i+1]
		}
	}
	return logFormat(format) // a wrong one counts as text
}

// group is the flags; verbose is what --verbose adds.
func (l *logFlags) group(verbose string) *flagGroup {
	g := newFlagGroup("Log, on STDERR")
	parsedFlag(g, &l.format, "log-format", "text", "text|json",
		"text (sentences) or json (one object per line)", choice(logText, logJSON))
	g.BoolVarP(&l.quiet, "quiet", "q", false, "log errors only")
	g.BoolVarP(&l.verbose, "verbose", "v", false, verbose)
	return g
}

func (l *logFlags) check() error {
	if l.quiet && l.verbose {
		return usage("--quiet and --verbose cannot be used together")
	}
	return nil
}

// level: a client closed or refused, and whatever else an operator should know,
// is a warning; joins and leaves are for debugging.
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

// announce writes where a server listens, whatever the level.
func (l *logFlags) announce(w io.Writer, address string) {
	text := "listening on " + address
	if l.format == logJSON {
		slog.New(slog.NewJSONHandler(w, nil)).Info(text, "address", address)
		return
	}
	_, _ = io.WriteString(w, text+"\n")
}

// lines is w for the STDERR of a command: as it comes, or each line as a record.
func (l *logFlags) lines(w io.Writer, command string) io.Writer {
	if l.format != logJSON {
		return w
	}
	return &records{log: slog.New(slog.NewJSONHandler(w, nil)).With("command", command)}
}

// records is a writer of which each line becomes a record.
type records struct {
	log  *slog.Logger
	line []byte // begun
}

// longestRecord is where a line without an end is broken.
const longestRecord = 64 << 10

func (r *records) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		if most := longestRecord - len(r.line); len(part) > most {
			part, rest, ended = p[:most], p[most:], true
		}
		r.line, p = append(r.line, part...), rest
		if ended {
			r.flush()
		}
	}
	return n, nil
}

func (r *records) flush() {
	r.log.Info(string(bytes.TrimSuffix(r.line, []byte("\r"))))
	r.line = r.line[:0]
}

// Close writes a last line without a newline.
func (r *records) Close() error {
	if len(r.line) > 0 {
		r.flush()
	}
	return nil
}

// failure is a line for each of the errors in err, and for a usage error the
// command line that helps.
func failure(format logFormat, err error, help string) string {
	var b strings.Builder
	log := (&logFlags{format: format}).logger(&b)
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if format == logJSON && help != "" {
			log.Error(line, "help", help)
		} else {
			log.Error(line)
		}
	}
	if format != logJSON && help != "" {
		b.WriteString("Try: " + help + "\n")
	}
	return b.String()
}

// sentences is a slog.Handler for people: a record is its message, such as
//
//	hubbub: client 17 closed: lapped (64 MiB behind)
//
// The message says everything, so attributes are left to the JSON format. So is
// the time, which whatever collects STDERR adds. A message may quote a client,
// and STDERR may be a terminal: it stays one line, and control bytes are shown.
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
