// Command hubbub is one nonblocking server for many clients, and a client for
// it: every line of STDIN goes to all clients, every line from any client
// comes out on STDOUT.
//
//	main.go    from arguments to an exit code
//	help.go    how the commands and their flags explain themselves
//	serve.go   the server; stdin.go and stdout.go are its two ends, or
//	           command.go and console.go; commands.go is what JSON lines want
//	join.go    the client
//	log.go     what goes to STDERR, and how a person reads it
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hubbub.example/internal/console"
)

// env is what a command has of the process it runs in.
type env struct {
	stdin, stdout, stderr *os.File
}

// Exit codes.
const (
	exitDone    = 0
	exitFailed  = 1 // something did not work while running
	exitMisused = 2 // the command line cannot be meant so
)

func main() {
	go endOnQuit(os.Stderr)
	os.Exit(run(context.Background(), os.Args[1:], env{os.Stdin, os.Stdout, os.Stderr}))
}

// endOnQuit waits for ^\, to which Go would answer with a trace of all that runs.
func endOnQuit(stderr *os.File) {
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	<-quit
	console.GiveBack()
	tell(stderr, "hubbub: SIGQUIT: ended before all was delivered\n")
	os.Exit(exitFailed)
}

// run is hubbub without its process: it runs the command that args name and
// returns the exit code.
func run(ctx context.Context, args []string, e env) int {
	// Asking for SIGPIPE and never looking makes a write to a closed pipe
	// an ordinary EPIPE, also on STDOUT and STDERR. Ignoring it would be
	// inherited by programs we start.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	root := newRootCommand(e)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if exit, is := errors.AsType[*exitError](err); is {
		return exit.code
	}
	text := failure(cmd, err)
	if _, misused := errors.AsType[*usageError](err); misused {
		tell(e.stderr, text+"Try: "+helpFor(cmd)+"\n")
		return exitMisused
	}
	tell(e.stderr, text)
	return exitFailed
}

// failure is err as the log of cmd would say it: a line for each of several
// errors, or a JSON object.
func failure(cmd *cobra.Command, err error) string {
	if f := cmd.Flags().Lookup("log-format"); f != nil && f.Value.String() == string(logJSON) {
		var b strings.Builder
		slog.New(slog.NewJSONHandler(&b, nil)).Error(err.Error())
		return b.String()
	}
	return "hubbub: " + strings.ReplaceAll(err.Error(), "\n", "\nhubbub: ") + "\n"
}

// tell writes text to f, but waits only so long: a STDERR that nobody reads
// must not keep a process that is done.
func tell(f *os.File, text string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = f.WriteString(text)
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// exitError is the exit code of a command that is ours then.
type exitError struct {
	code int
	why  string
}

func (e *exitError) Error() string { return e.why }

// usageError is a command line that cannot be meant so. Its text says what
// would be right.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

func usage(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func newRootCommand(e env) *cobra.Command {
	root := &cobra.Command{
		Use:               "hubbub",
		Version:           version(),
		SilenceErrors:     true, // run tells them
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs, // RunE says more about a wrong one
		RunE:              noCommand,

		SuggestionsMinimumDistance: 2, // how many letters may be wrong
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(flagError)
	describe(root, rootHelp)
	root.AddCommand(newServeCommand(e), newJoinCommand(e), newSockoptsCommand(e), newVersionCommand(e))
	root.SetHelpCommand(newHelpCommand(e))
	return root
}

// noCommand is hubbub without a command it knows.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage("what shall it be? One of: %s", strings.Join(commandNames(root), ", "))
	}
	return unknownCommand(root, args[0])
}

func unknownCommand(root *cobra.Command, name string) error {
	if strings.ContainsAny(name, ":/") {
		return usage("unknown command %q; to serve there: hubbub serve %[1]s, to join: hubbub join %[1]s", name)
	}
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return usage("unknown command %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	return usage("unknown command %q; there are: %s", name, strings.Join(commandNames(root), ", "))
}

func commandNames(root *cobra.Command) []string {
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return names
}

func newVersionCommand(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:  "version",
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(e.stdout, version())
			return err
		},
	}
	describe(cmd, versionHelp)
	return cmd
}

// noArguments is a cobra.PositionalArgs that says so in our words.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument, but there is %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// oneInstant is how close signals are that mean the same: timeout(1) sends its
// own to the program and to its group, systemd may send SIGHUP after SIGTERM.
const oneInstant = 20 * time.Millisecond
