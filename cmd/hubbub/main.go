// Command hubbub is one nonblocking server for many clients, and a client for
// it: every line of STDIN goes to all clients, every line from any client
// comes out on STDOUT.
//
//	main.go        from arguments to an exit code
//	signals.go     what each signal does
//	log.go         STDERR, for people and for programs
//	help.go        the help; wrong flags
//	completion.go  what a shell completes
//	flags.go       how a flag's value is read
//	serve.go       the life of a server; serve_flags.go, its flags
//	join.go        the client; join_console.go, its console
//	sockopts.go    the socket options
//
// A server's messages come from and go to:
//
//	stdin.go       STDIN; stdin_json.go, instructions in JSON
//	stdout.go      STDOUT; out.go, its formats
//	child.go       a command
//	console.go     a terminal
//	chat.go        a room between them; names.go, its guests' names
//	roster.go      the clients that a program knows of
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// env is the process that a command runs in.
type env struct {
	stdin, stdout, stderr *os.File
}

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	args := os.Args[1:]
	endOnQuit(os.Stderr, logFormatIn(args))
	os.Exit(run(args, env{os.Stdin, os.Stdout, os.Stderr}))
}

// run runs the command that args name, and returns the exit code.
func run(args []string, e env) int {
	// Asking for SIGPIPE and never looking makes a write to a closed pipe
	// an ordinary EPIPE, also on STDOUT and STDERR. If we ignored it, so
	// would a command that we start.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	root := newRootCommand(e)
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitDone
	}
	if exit, is := errors.AsType[*exitError](err); is {
		return exit.code
	}
	help := ""
	code := exitFailed
	if _, is := errors.AsType[*usageError](err); is {
		code, help = exitUsage, helpFor(cmd)
	}
	tell(e.stderr, failure(logFormatIn(args), err, help))
	return code
}

// tell writes text to f, but waits for no more than a second: a STDERR that
// nobody reads must not keep a process that is done.
func tell(f *os.File, text string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = f.WriteString(text)
	}()
	waitFor(done, time.Second)
}

// waitFor waits until c is closed, but not longer than limit.
func waitFor(c <-chan struct{}, limit time.Duration) {
	select {
	case <-c:
	case <-time.After(limit):
	}
}

// exitError is a command's exit code, which becomes ours.
type exitError struct {
	code int
	why  string
}

func (e *exitError) Error() string { return e.why }

// usageError is an error in the command line. Its text says what is expected.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

func usage(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func newRootCommand(e env) *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{
		Use:           "hubbub COMMAND",
		Short:         "one nonblocking server for many clients, and a client for it",
		Long:          rootLong,
		Example:       rootExamples,
		Version:       version(),
		SilenceErrors: true, // run reports them
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // RunE says more about a wrong one
		RunE:          noCommand,

		DisableFlagsInUseLine:      true,
		SuggestionsMinimumDistance: 2, // how many letters may be wrong
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(printHelp)
	root.AddCommand(newServeCommand(e), newJoinCommand(e), newSockoptsCommand(e), newVersionCommand(e))
	addDefaultCommands(root)
	return root
}

// addDefaultCommands adds cobra's help and completion, with errors of ours.
func addDefaultCommands(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Short, c.Args = "this help, or that of a command", oneCommand
			c.SetHelpFunc(func(*cobra.Command, []string) { printHelp(root, nil) })
		case "completion":
			c.Short = "completion of commands, flags and values, for your shell"
			c.RunE = func(c *cobra.Command, args []string) error {
				if len(args) > 0 {
					return usage("unknown shell %q; shells are: %s", args[0], commandNames(c))
				}
				return c.Help()
			}
			c.Args = nil // RunE says more
			for _, shell := range c.Commands() {
				shell.Args = noArguments
			}
		}
	}
}

// The errors of cobra's own validators of arguments say less than these: for
// `hubbub :9000` they are 'unknown command ":9000" for "hubbub"'.

// noCommand is hubbub without a command it knows.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage("no command given; commands are: %s", commandNames(root))
	}
	return unknownCommand(root, args[0])
}

func unknownCommand(root *cobra.Command, name string) error {
	if strings.ContainsAny(name, ":/") {
		return usage("unknown command %q; to serve there: hubbub serve %[1]s; to join: hubbub join %[1]s", name)
	}
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return usage("unknown command %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	return usage("unknown command %q; commands are: %s", name, commandNames(root))
}

func commandNames(root *cobra.Command) string {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return strings.Join(names, ", ")
}

// oneCommand validates the arguments of hubbub help.
func oneCommand(cmd *cobra.Command, args []string) error {
	root := cmd.Root()
	if c, rest, err := root.Find(args); len(args) > 0 && (err != nil || c == root || len(rest) > 0) {
		return unknownCommand(root, strings.Join(args, " "))
	}
	return nil
}

// noArguments validates the arguments of a command that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func newVersionCommand(e env) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "the version, and what built it",
		Long:              "Prints the version, what built it and for which system.",
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(e.stdout, version())
			return err
		},
	}
}
