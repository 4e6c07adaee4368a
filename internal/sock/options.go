package sock

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"hubbub.example/internal/quantity"
)

// This file is the table of socket options: each option's C name, its meaning
// and the format of its value.
//
//	Parse   parses "SO_RCVBUF=64KiB", the form that --so takes
//	Set     sets it on a descriptor; OnListener and OnClient say on which
//	Get     reads the value in force
//
// The numbers and the system calls are in options_unix.go and
// options_windows.go. Options of one system only are in that system's file.

// Option is one line of the table.
type Option struct {
	Name    string
	Meaning string

	// Default is what hubbub sets on a TCP socket without --so; "" keeps the
	// system's default.
	Default string

	// GetOnly: the option can be read but not set.
	GetOnly bool

	// TCPOnly: a Unix socket does not have it.
	TCPOnly bool

	// Missing names the substitute on a system that lacks the option; "" where
	// the option exists.
	Missing string

	form          form
	places        places
	level, number int
}

// form is how a value is written and what the system takes for it.
type form uint8

const (
	formFlag     form = iota // 0 or 1
	formSize                 // bytes
	formDuration             // 0 or a Go duration
	formLinger               // off or seconds
	formKind                 // SO_TYPE: read only
	formFailure              // SO_ERROR: read only
)

// wants describes the format, for errors and for the printed table.
func (f form) wants() string {
	switch f {
	case formFlag:
		return "0 or 1"
	case formSize:
		return "a number of bytes, like 65536 or 64KiB"
	case formDuration:
		return "0 (never) or a time of at least 1ms, like 500ms or 2s"
	case formLinger:
		return fmt.Sprintf("off or a number of seconds, 0 to %d", math.MaxInt16)
	}
	return "nothing: it can only be read"
}

// places says where an option takes effect.
type places uint8

const (
	onListener places = 1 << iota
	onClient
)

// absent is the number of an option that this system does not have.
const absent = -1

const noTimeout = "does nothing here: every socket is nonblocking"

// Options returns the table.
func Options() []Option {
	return append([]Option(nil), table...)
}

var table = finish([]Option{
	{
		Name: "SO_DEBUG", form: formFlag, places: onListener | onClient, level: solSocket, number: soDebug,
		Meaning: "have the kernel record debugging information, where it was built to (on Linux it needs CAP_NET_ADMIN)",
	},
	{
		Name: "SO_REUSEADDR", form: formFlag, places: onListener, level: solSocket, number: soReuseAddr, Default: reuseAddr,
		Meaning: "bind a port that connections of an earlier server still hold in TIME_WAIT: a restart at once works; serve sets it before bind",
	},
	{
		Name: "SO_REUSEPORT", form: formFlag, places: onListener, level: solSocket, number: soReusePort,
		Missing: "SO_REUSEADDR, which shares a port on this system",
		Meaning: "several servers of one user share a port; Linux spreads new connections among them, other systems may give all to one",
	},
	{
		Name: "SO_KEEPALIVE", form: formFlag, places: onClient, level: solSocket, number: soKeepAlive, Default: "1",
		Meaning: "ask a silent peer whether it lives; how often is --keepalive",
	},
	{
		Name: "SO_DONTROUTE", form: formFlag, places: onListener | onClient, level: solSocket, number: soDontRoute,
		Meaning: "reach hosts on the local network only, past no gateway",
	},
	{
		Name: "SO_BROADCAST", form: formFlag, places: onClient, level: solSocket, number: soBroadcast,
		Meaning: "allow datagrams to a broadcast address; can be set on a stream, where it does nothing",
	},
	{
		Name: "SO_SNDBUF", form: formSize, places: onListener | onClient, level: solSocket, number: soSndBuf,
		Meaning: "bytes the kernel holds on their way out; once set it no longer adapts (Linux gives back double what was set, for its bookkeeping, and caps it at net.core.wmem_max)",
	},
	{
		Name: "SO_RCVBUF", form: formSize, places: onListener | onClient, level: solSocket, number: soRcvBuf,
		Meaning: "bytes the kernel holds on their way in, set before the connection so that the TCP window fits (Linux gives back double, and caps it at net.core.rmem_max)",
	},
	{
		Name: "SO_SNDTIMEO", form: formDuration, places: onClient, level: solSocket, number: soSndTimeo,
		Meaning: noTimeout + "; what it is wanted for, not to wait for a client that does not read, is serve's --slow and --patience",
	},
	{
		Name: "SO_RCVTIMEO", form: formDuration, places: onClient, level: solSocket, number: soRcvTimeo,
		Meaning: noTimeout + "; what it is wanted for, to close a client that says nothing, is serve's --idle-timeout",
	},
	{
		Name: "SO_TYPE", form: formKind, GetOnly: true, level: solSocket, number: soType,
		Meaning: "what the socket is; SOCK_STREAM here",
	},
	{
		Name: "SO_ERROR", form: formFailure, GetOnly: true, level: solSocket, number: soError,
		Meaning: "the pending error, cleared by reading it; how a nonblocking connect tells its end",
	},
	{
		Name: "SO_NOSIGPIPE", form: formFlag, places: onClient, level: solSocket, number: soNoSigPipe,
		Missing: "MSG_NOSIGNAL on each send, which hubbub uses where it exists",
		Meaning: "a send to a closed connection fails with EPIPE and raises no SIGPIPE",
	},
	{
		Name: "SO_LINGER_SEC", form: formLinger, places: onClient, level: solSocket, number: soLingerSec,
		Missing: "SO_LINGER, which counts in seconds here",
		Meaning: "SO_LINGER in seconds (macOS counts SO_LINGER itself in clock ticks)",
	},
	{
		Name: "SO_LINGER", form: formLinger, places: onClient, level: solSocket, number: soLinger,
		Meaning: "what close does with bytes not yet sent: off sends them in the background, 0 drops them and resets, more makes close wait up to that many seconds (on Linux even that of a nonblocking socket); on macOS it is set through SO_LINGER_SEC",
	},
	{
		Name: "TCP_NODELAY", form: formFlag, places: onClient, level: ipProtoTCP, number: tcpNoDelay, Default: "1", TCPOnly: true,
		Meaning: "send small messages at once instead of gathering them while an acknowledgement is due (Nagle); 0 gathers",
	},
})

// finish clears Missing for every option that this system has.
func finish(options []Option) []Option {
	for i := range options {
		if options[i].number != absent {
			options[i].Missing = ""
		}
	}
	return options
}

// Setting is an option and the value to set.
type Setting struct {
	Option Option
	value  int64 // flag, bytes, nanoseconds or seconds; lingerOff
}

const lingerOff = -1

// Parse reads NAME=VALUE.
func Parse(s string) (Setting, error) {
	name, value, given := strings.Cut(s, "=")
	o, err := find(name)
	if err != nil {
		return Setting{}, err
	}
	if o.GetOnly {
		return Setting{}, fmt.Errorf("%s can only be read, not set", o.Name)
	}
	if o.Missing != "" {
		return Setting{}, fmt.Errorf("%s does not exist on this system; in its place: %s", o.Name, o.Missing)
	}
	if !given {
		return Setting{}, fmt.Errorf("%s has no value: write %s=VALUE, the value being %s", o.Name, o.Name, o.form.wants())
	}
	n, ok := o.form.parse(value)
	if !ok {
		return Setting{}, fmt.Errorf("%s=%s: the value must be %s", o.Name, value, o.form.wants())
	}
	return Setting{Option: o, value: n}, nil
}

// find looks up a name. The error for an unknown one lists the known names.
func find(name string) (Option, error) {
	var known []string
	near := ""
	for _, o := range table {
		if o.Name == name {
			return o, nil
		}
		if _, bare, _ := strings.Cut(o.Name, "_"); name != "" && (strings.EqualFold(name, o.Name) || strings.EqualFold(name, bare)) {
			near = fmt.Sprintf("did you mean %s? ", o.Name)
		}
		if !o.GetOnly && o.Missing == "" {
			known = append(known, o.Name)
		}
	}
	return Option{}, fmt.Errorf("unknown socket option %q: %swhat can be set is %s", name, near, strings.Join(known, ", "))
}

// parse reads a value; ok is false if it does not match the format.
func (f form) parse(s string) (n int64, ok bool) {
	switch f {
	case formFlag:
		if s == "0" || s == "1" {
			return int64(s[0] - '0'), true
		}
	case formSize:
		n, err := quantity.ParseBytes(s)
		return n, err == nil && n <= math.MaxInt32
	case formDuration:
		d, err := time.ParseDuration(s)
		return int64(d), err == nil && (d == 0 || d >= time.Millisecond && d <= maxTimeout)
	case formLinger:
		if s == "off" {
			return lingerOff, true
		}
		n, err := strconv.ParseUint(s, 10, 15)
		return int64(n), err == nil
	}
	return 0, false
}

// maxTimeout and the least of 1 ms fit every system's idea of a timeout, the
// narrowest being milliseconds in 32 bits.
const maxTimeout = math.MaxInt32 * time.Millisecond

// format returns the inverse of parse; it also formats values that the system returned.
func (f form) format(n int64) string {
	switch f {
	case formDuration:
		if n == 0 {
			return "0"
		}
		return time.Duration(n).String()
	case formLinger:
		if n == lingerOff {
			return "off"
		}
	}
	return strconv.FormatInt(n, 10)
}

// String returns the setting in the form that Parse reads.
func (s Setting) String() string { return s.Option.Name + "=" + s.Option.form.format(s.value) }

// OnListener reports whether the setting belongs on a listening socket,
// before bind.
func (s Setting) OnListener() bool { return s.Option.places&onListener != 0 }

// OnClient reports whether the setting belongs on a connection. One that
// belongs on the listener too need not be set again where connections
// inherit it.
func (s Setting) OnClient() bool { return s.Option.places&onClient != 0 }

// Set sets it on a descriptor (a handle, on Windows).
func (s Setting) Set(fd int) error {
	if err := s.Option.set(fd, s.value); err != nil {
		return fmt.Errorf("setsockopt %s: %w", s, err)
	}
	return nil
}

// Get returns the value in force, written as Parse takes it.
func (o Option) Get(fd int) (string, error) {
	if o.Missing != "" {
		return "", fmt.Errorf("getsockopt %s: not on this system; in its place: %s", o.Name, o.Missing)
	}
	s, err := o.get(fd)
	if err != nil {
		return "", fmt.Errorf("getsockopt %s: %w", o.Name, err)
	}
	return s, nil
}
