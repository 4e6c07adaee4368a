package main

import (
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hubbub.example/internal/sock"
)

// This file is what a shell completes besides the names of commands and flags:
// the values that a flag takes. The script for a shell is printed by hubbub
// completion.

// completeValues has cmd complete the values of f: the words among "TIME|off",
// and never the names of files.
func completeValues(cmd *cobra.Command, f *pflag.Flag) {
	if f.NoOptDefVal != "" { // true or false
		return
	}
	var words []cobra.Completion
	kind, _ := pflag.UnquoteUsage(f)
	for word := range strings.SplitSeq(kind, "|") {
		if !strings.ContainsFunc(word, unicode.IsUpper) {
			words = append(words, word)
		}
	}
	complete := cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	if f.Name == "so" {
		complete = cobra.FixedCompletions(settable(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
	}
	if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
		panic("hubbub: the completion of --" + f.Name + ": " + err.Error())
	}
}

// settable is NAME= for each socket option that can be set here.
func settable() []cobra.Completion {
	var names []cobra.Completion
	for _, o := range sock.Options() {
		if o.Missing == "" && !o.GetOnly {
			names = append(names, o.Name+"=")
		}
	}
	return names
}
