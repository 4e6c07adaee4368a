//go:build !unix

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newServeCommand(env) *cobra.Command {
	return &cobra.Command{
		Use:                "serve [ADDRESS ...] [flags]",
		Short:              "the server (Linux, macOS and the BSDs only)",
		Long:               "The server runs on Linux, macOS and the BSDs. From here, join one:\n\n  hubbub join HOST:PORT",
		DisableFlagParsing: true, // whatever they are, the answer is the same
		RunE: func(*cobra.Command, []string) error {
			return errors.New("the server runs on Linux, macOS and the BSDs only; to join one from here: hubbub join HOST:PORT")
		},
	}
}
