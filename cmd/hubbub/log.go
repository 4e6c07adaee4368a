package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"

	"hubbub.example/internal/proto"
	"hubbub.example/internal/visible"
)

// This file is what stands on STDERR. Each line is one of these, and with
// --log-format json each is a JSON object:
//
//	announce   where a server listens, whatever the log level
//	logger     the log
//	copy       what a command behind -- writes to its STDERR
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

// logFormatIn returns the --log-format that args ask for. It is known before they
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

// group returns the flags; verbose is what --verbose adds.
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
		return jsonLogger(w, l.level())
	}
	return slog.New(&sentences{w: w, level: l.level(), mu: new(sync.Mutex)})
}

// jsonLogger logs JSON lines to w.
func jsonLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(jsonLines{w}, &slog.HandlerOptions{Level: level}))
}

// jsonLines escapes what slog leaves in a line and some programs end it at.
type jsonLines struct{ io.Writer }

func (j jsonLines) Write(line []byte) (int, error) {
	if _, err := j.Writer.Write(proto.AppendLine(nil, line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// announce writes where a server listens, whatever the level.
func (l *logFlags) announce(w io.Writer, address string) {
	text := "listening on " + address
	if l.format == logJSON {
		jsonLogger(w, slog.LevelInfo).Info(text, "address", address)
		return
	}
	_, _ = io.WriteString(w, text+"\n")
}

// copy copies a command's STDERR to w: as it comes, or each line as a record. A
// line of more than 64 KiB becomes several.
func (l *logFlags) copy(w io.Writer, stderr io.Reader, command string) {
	if l.format != logJSON {
		_, _ = io.Copy(w, stderr)
		return
	}
	log := jsonLogger(w, slog.LevelInfo).With("command", command)
	lines := bufio.NewReaderSize(stderr, 64<<10)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		log.Info(string(line))
	}
}

// failure returns a line for each of the errors in err, and for a usage error the
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
