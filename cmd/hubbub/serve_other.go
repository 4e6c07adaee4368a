//go:build !unix

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

const serveHelp = `
    hubbub serve [ADDRESS ...] [flags]

The server is for Linux, macOS and the BSDs: it lives on what their kernels
have. Run it there, and join it from here:

    hubbub join HOST:PORT
`

func newServeCommand(env) *cobra.Command {
	cmd := &cobra.Command{
		Use:                "serve",
		DisableFlagParsing: true, // whatever they are, the answer is the same
		RunE: func(*cobra.Command, []string) error {
			return errors.New("the server is for Linux, macOS and the BSDs; from here, hubbub join HOST:PORT joins one")
		},
	}
	describe(cmd, serveHelp)
	return cmd
}
