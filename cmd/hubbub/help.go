package main

// This file is the help, and what is reported of a wrong flag.

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is one paragraph of a command's flags in its help. Cobra has groups
// of commands, but none of flags.
type flagGroup struct {
	title string
	*pflag.FlagSet
}

// newFlagGroup makes a group. The help lists its flags in the order of their
// definition.
func newFlagGroup(title string) *flagGroup {
	set := pflag.NewFlagSet(title, pflag.ContinueOnError)
	set.SortFlags = false
	return &flagGroup{title, set}
}

// addFlags gives cmd its flags.
func addFlags(cmd *cobra.Command, groups ...*flagGroup) {
	cmd.Flags().SortFlags = false
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.FlagSet)
		g.VisitAll(func(f *pflag.Flag) {
			f.Annotations = map[string][]string{groupTitle: {g.title}}
			completeValues(cmd, f)
		})
	}
}

// groupTitle is the annotation of a flag that names its group.
const groupTitle = "group"

const helpWidth = 80

// printHelp is the help of any command. Cobra's own template has no groups of
// flags, and its examples come last.
func printHelp(cmd *cobra.Command, _ []string) {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nUsage: %s\n\n", cmd.CommandPath(), cmd.Short, cmd.UseLine())
	for _, text := range []string{cmd.Example, cmd.Long} {
		if text = strings.Trim(text, "\n"); text != "" {
			b.WriteString(text + "\n\n")
		}
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("Commands:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-11s %s\n", c.Name(), c.Short)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString(flagHelp(cmd.LocalFlags()))
	_, _ = io.WriteString(cmd.OutOrStdout(), strings.TrimRight(b.String(), "\n")+"\n")
}

// flagHelp returns the help of flags, group by group.
func flagHelp(flags *pflag.FlagSet) string {
	var groups []*flagGroup
	flags.VisitAll(func(f *pflag.Flag) {
		title := "Flags"
		if of := f.Annotations[groupTitle]; of != nil {
			title = of[0]
		}
		if n := len(groups); n == 0 || groups[n-1].title != title {
			groups = append(groups, newFlagGroup(title))
		}
		groups[len(groups)-1].AddFlag(f)
	})
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s:\n%s\n", g.title, g.FlagUsagesWrapped(helpWidth))
	}
	return b.String()
}

// helpFor returns the command line that prints the help of cmd.
func helpFor(cmd *cobra.Command) string {
	root, names, _ := strings.Cut(cmd.CommandPath(), " ")
	if names == "" || names == "help" {
		return root + " help"
	}
	return root + " help " + names
}

// flagError returns the error of a wrong flag. Cobra's says neither which flag looks
// like an unknown one, nor what a value must be.
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
		return usage("--%s needs a value: --%[1]s %s", flag.Name, kind)
	}
	if invalid, is := errors.AsType[*pflag.InvalidValueError](err); is {
		return usage("--%s %q: %s", invalid.GetFlag().Name, invalid.GetValue(), wanted(invalid))
	}
	return &usageError{err}
}

// wanted returns what a flag's value must be. The error of its parser begins with what
// it is, and the value; here the flag's name stands before it.
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

// nearFlags are the flags of cmd whose names look like name. Cobra compares the
// names of commands only; so here each flag becomes a command.
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

const rootExamples = `
  tail -f app.log | hubbub serve :9000      a stream for everyone
  nc host 9000                              ... for any TCP client
  hubbub join host:9000                     ... or ours, which reconnects
  hubbub serve :9000 --out tagged           gather: ID, tab, line
  hubbub serve :9000 -- ./bot.py            a program answers every client
  hubbub serve --wait-for 3 --eof exit < f  a file to three clients
`

const rootLong = `
Every line of STDIN goes to all clients; every line from any client comes out
on STDOUT. No client has to wait for a slow one.

ADDRESS is HOST:PORT, :PORT, tcp://HOST:PORT or unix:PATH. join also takes
ws://HOST:PORT.

Exit codes: 0 success, 1 runtime error, 2 usage error.
`
