package main

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hubbub.example/internal/join"
	"hubbub.example/internal/sock"
)

// This file prints the socket options: what --so can set, and what hubbub sets.

const sockoptsExamples = `
  hubbub sockopts
  hubbub sockopts --so SO_RCVBUF=64KiB --so TCP_NODELAY=0
  hubbub sockopts unix:/run/app.sock
`

const sockoptsLong = `
Prints the socket options that --so takes: the system's default for a new
socket of ADDRESS's kind (TCP without one), and the value after hubbub and --so
have set theirs. Nothing is connected or bound.
`

func newSockoptsCommand(e env) *cobra.Command {
	var so []string
	cmd := &cobra.Command{
		Use:               "sockopts [ADDRESS]",
		Short:             "the socket options, with their values",
		Long:              sockoptsLong,
		Example:           sockoptsExamples,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			address, err := kindOf(args)
			if err != nil {
				return err
			}
			settings, err := parseSettings(so, address)
			if err != nil {
				return err
			}
			return printOptions(e.stdout, address, settings)
		},
	}
	g := newFlagGroup("Sockets")
	g.StringArrayVar(&so, "so", nil, "set a socket option, `NAME=VALUE`; repeatable")
	addFlags(cmd, g)
	return cmd
}

// kindOf returns an address of the kind of socket that args name.
func kindOf(args []string) (join.Address, error) {
	switch len(args) {
	case 0:
		return join.Address{Host: "localhost"}, nil
	case 1:
		address, err := join.ParseAddress(args[0])
		if err != nil {
			err = &usageError{err}
		}
		return address, err
	}
	return join.Address{}, usage("sockopts takes at most one ADDRESS, but got %d", len(args))
}

// printOptions prints the table for a fresh socket.
func printOptions(w io.Writer, address join.Address, settings []sock.Setting) error {
	fd, err := freshSocket(address)
	if err != nil {
		return err
	}
	var rows []optionRow
	for _, o := range sock.Options() {
		rows = append(rows, optionRow{Option: o, def: value(fd, address, o)})
	}
	if err := apply(fd, address, settings); err != nil {
		return err
	}
	for i, r := range rows {
		rows[i].inForce = value(fd, address, r.Option)
	}
	_, err = w.Write(renderRows(rows))
	return err
}

type optionRow struct {
	sock.Option
	def, inForce string
}

// freshSocket makes a socket of address's kind, which the end of the process closes.
func freshSocket(address join.Address) (int, error) {
	family := syscall.AF_INET
	if ip, err := netip.ParseAddr(address.Host); err == nil && ip.Is6() {
		family = syscall.AF_INET6
	}
	if address.Path != "" {
		family = syscall.AF_UNIX
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	return int(fd), os.NewSyscallError("socket", err)
}

// value returns the option's value on fd, or a dash where it has none.
func value(fd int, address join.Address, o sock.Option) string {
	if o.Missing != "" || o.TCPOnly && address.Path != "" {
		return "-"
	}
	v, err := o.Get(fd)
	if err != nil {
		return "-"
	}
	return v
}

// apply sets what hubbub sets itself, then the --so options.
func apply(fd int, address join.Address, settings []sock.Setting) error {
	for _, o := range sock.Options() {
		if o.Default == "" || address.Path != "" {
			continue
		}
		s, err := sock.Parse(o.Name + "=" + o.Default)
		if err != nil {
			return err
		}
		if err := s.Set(fd); err != nil {
			return err
		}
	}
	return setAll(fd, settings)
}

// renderRows aligns the table; a long meaning continues on the lines below.
func renderRows(rows []optionRow) []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tSETTABLE\tDEFAULT\tIN FORCE\tMEANING")
	for _, r := range rows {
		lines := wrap(r.meaning(), 72)
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.settable(), r.def, r.inForce, lines[0])
		for _, line := range lines[1:] {
			_, _ = fmt.Fprintf(w, "\t\t\t\t%s\n", line)
		}
	}
	_ = w.Flush()
	return b.Bytes()
}

func (r optionRow) settable() string {
	switch {
	case r.Missing != "":
		return "not here"
	case r.GetOnly:
		return "get only"
	}
	return "yes"
}

func (r optionRow) meaning() string {
	if r.Missing != "" {
		return r.Meaning + "; this system has instead " + r.Missing
	}
	return r.Meaning
}

// wrap breaks text into lines of at most width, at spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
