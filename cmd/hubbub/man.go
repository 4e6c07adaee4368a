//go:build man

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"
)

// This file writes a man page for each command:
//
//	go run -tags man ./cmd/hubbub DIR
//
// It is no part of hubbub itself, which would be larger by a Markdown parser.
func init() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run -tags man ./cmd/hubbub DIR")
		os.Exit(exitUsage)
	}
	root := newRootCommand(env{os.Stdin, os.Stdout, os.Stderr})
	root.DisableAutoGenTag = true
	if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "hubbub " + release(), Manual: "hubbub"}, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "hubbub:", err)
		os.Exit(exitFailed)
	}
	os.Exit(exitDone)
}
