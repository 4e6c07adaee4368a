package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is one paragraph of a command's flags in its help.
type flagGroup struct {
	title string
	*pflag.FlagSet
}

// newFlagGroup makes a group whose flags stand in the order they are defined.
func newFlagGroup(title string) *flagGroup {
	set := pflag.NewFlagSet(title, pflag.ContinueOnError)
	set.SortFlags = false
	return &flagGroup{title, set}
}

// describe gives cmd its flags and its help: the text, which begins with
// examples, then the flags, group by group.
func describe(cmd *cobra.Command, text string, groups ...*flagGroup) {
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.FlagSet)
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		_, _ = io.WriteString(cmd.OutOrStdout(), helpText(text, groups))
	})
}

const helpWidth = 96

// helpText has all flags in one column, although each group stands by itself:
// so they are laid out together, and each title goes before its first flag.
func helpText(text string, groups []*flagGroup) string {
	all, titles := newFlagGroup("").FlagSet, map[string]string{}
	for _, g := range groups {
		all.AddFlagSet(g.FlagSet)
		titles[g.first()] = g.title
	}
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(text, "\n"))
	for line := range strings.Lines(all.FlagUsagesWrapped(helpWidth)) {
		// A flag's first line is not indented as far as the others.
		if flag := flagLine.FindStringSubmatch(line); flag != nil && titles[flag[1]] != "" {
			fmt.Fprintf(&b, "\n%s:\n", titles[flag[1]])
		}
		b.WriteString(line)
	}
	return b.String()
}

var flagLine = regexp.MustCompile(`^(?:  -.,|     ) --([a-z-]+)`)

func (g *flagGroup) first() (name string) {
	g.VisitAll(func(f *pflag.Flag) {
		if name == "" {
			name = f.Name
		}
	})
	return name
}

func newHelpCommand(env) *cobra.Command {
	return &cobra.Command{
		Use: "help",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) > 1 {
				return usage("hubbub help takes one command, but there is also %q", args[1])
			}
			if len(args) == 0 {
				return root.Help()
			}
			for _, c := range root.Commands() {
				if c.Name() == args[0] {
					return c.Help()
				}
			}
			return unknownCommand(root, args[0])
		},
	}
}

// helpFor is the command line that explains cmd.
func helpFor(cmd *cobra.Command) string {
	if cmd.HasParent() && cmd.Name() != "help" {
		return "hubbub help " + cmd.Name()
	}
	return "hubbub help"
}

// flagError says what would be right in place of a flag that is not.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, is := errors.AsType[*pflag.NotExistError](err); is {
		given, name := "--"+unknown.GetSpecifiedName(), unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" { // -relay, as other programs have it
			given = "-" + short
			name, _, _ = strings.Cut(short, "=")
		}
		if near := nearFlags(cmd, name); near != "" {
			return usage("unknown flag: %s; did you mean %s?", given, near)
		}
		return usage("unknown flag: %s", given)
	}
	if missing, is := errors.AsType[*pflag.ValueRequiredError](err); is {
		flag := missing.GetFlag()
		kind, _ := pflag.UnquoteUsage(flag)
		return usage("--%s has no value: it is --%[1]s %s", flag.Name, kind)
	}
	if invalid, is := errors.AsType[*pflag.InvalidValueError](err); is {
		return usage("--%s %q: %s", invalid.GetFlag().Name, invalid.GetValue(), wanted(invalid))
	}
	return &usageError{err}
}

// wanted is what would be right in place of a flag's value. Who reads it says
// what it is, and the value, before that; here the flag's name has said so.
func wanted(invalid *pflag.InvalidValueError) string {
	if invalid.GetFlag().Value.Type() == "bool" {
		return "must be true or false"
	}
	text := invalid.Unwrap().Error()
	if _, right, found := strings.Cut(text, strconv.Quote(invalid.GetValue())+": "); found {
		return right
	}
	return text
}

// nearFlags are the flags of cmd whose names look like name. Cobra can
// compare names, but does so for commands only: so for once they are commands.
func nearFlags(cmd *cobra.Command, name string) string {
	if cmd.Flags().Lookup(name) != nil {
		return "--" + name
	}
	if len(name) < 2 { // it is near to half of them
		return ""
	}
	names := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	near := names.SuggestionsFor(name)
	for i := range near {
		near[i] = "--" + near[i]
	}
	return strings.Join(near, " or ")
}

const rootHelp = `
hubbub: one nonblocking server, many clients

    tail -f app.log | hubbub serve :9000      a stream for everyone
    nc host 9000                              ... for any TCP client
    hubbub join host:9000                     ... or ours, which comes back after a break
    hubbub serve :9000 --out tagged           who said what: ID, tab, line
    hubbub serve --wait-for 3 --eof exit < f  a file to three, then done

Every line of STDIN goes to all clients; every line from any client comes out
on STDOUT. Nobody waits for a client that is out to lunch.

Commands:
    hubbub serve [ADDRESS ...] [flags]        the server
    hubbub join ADDRESS [flags]               the client
    hubbub sockopts [ADDRESS]                 the socket options, with what is in force
    hubbub version                            the version, and what built it
    hubbub help [COMMAND]                     this; or a command's examples and flags

ADDRESS is HOST:PORT, :PORT, tcp://HOST:PORT or unix:PATH. join knows ws:// too.

Exit codes: 0 done, 1 something did not work, 2 the command line cannot be
meant so.
`

const versionHelp = `
    hubbub version

Prints the version, what built it and for which system.
`
