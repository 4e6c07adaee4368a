package join

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Address is whom to join.
type Address struct {
	Network string // tcp or unix
	Host    string // tcp
	Port    string // tcp
	Path    string // unix

	Protocol Protocol
}

// Protocol is what is spoken with a server.
type Protocol uint8

const (
	Whichever Protocol = iota // HubbubV1 if the server speaks it, else RawOnly
	RawOnly                   // messages with their separator
	HubbubV1                  // over a WebSocket
)

const addressForms = "HOST:PORT, :PORT, tcp://HOST:PORT, ws://HOST:PORT or unix:PATH"

// ParseAddress reads HOST:PORT, :PORT (this machine) or unix:PATH, of which
// nobody knows what is spoken there, tcp://HOST:PORT, where it is raw, or
// ws://HOST:PORT, with which http:// means the same.
func ParseAddress(s string) (Address, error) {
	if path, is := strings.CutPrefix(s, "unix:"); is {
		return parsePath(s, path)
	}
	rest, protocol := s, Whichever
	scheme, after, is := strings.Cut(s, "://")
	switch {
	case !is:
	case scheme == "tcp":
		rest, protocol = after, RawOnly
	case scheme == "ws" || scheme == "http":
		hostPort, path, _ := strings.Cut(after, "/")
		if path != "" || strings.ContainsAny(hostPort, "?#@") {
			return Address{}, fmt.Errorf("address %q: it must end after the port; use --since, --last and --name for the rest", s)
		}
		rest, protocol = hostPort, HubbubV1
	case scheme == "wss" || scheme == "https":
		return Address{}, fmt.Errorf("address %q: TLS is not supported; must be %s", s, addressForms)
	default:
		return Address{}, fmt.Errorf("address %q: %s:// is not supported; must be %s", s, scheme, addressForms)
	}
	if is {
		scheme += "://"
	} else {
		scheme = ""
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: must be %s%s", s, addressForms, hint(scheme, rest))
	}
	if strings.Contains(port, "/") {
		return Address{}, fmt.Errorf("address %q: it must end after the port", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, fmt.Errorf("address %q: the port must be a number, 1 to 65535", s)
	}
	if strings.ContainsAny(host, "/ \t\r\n\x00") {
		return Address{}, fmt.Errorf("address %q: %q is no host; must be %s", s, host, addressForms)
	}
	if host == "" {
		host = "localhost"
	}
	return Address{Network: "tcp", Host: host, Port: port, Protocol: protocol}, nil
}

func parsePath(s, path string) (Address, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return Address{}, fmt.Errorf("address %q: unix: must be followed by a path", s)
	}
	return Address{Network: "unix", Path: path}, nil
}

// hint guesses what was meant by s, which stands behind a scheme, or none.
func hint(scheme, s string) string {
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return fmt.Sprintf("; did you mean %s:%s?", scheme, s)
	}
	if strings.Contains(s, "/") && scheme == "" {
		return fmt.Sprintf("; did you mean unix:%s?", s)
	}
	if ip := net.ParseIP(s); ip != nil && strings.Contains(s, ":") {
		return fmt.Sprintf("; did you mean %s[%s]:9000?", scheme, s)
	}
	if s != "" && !strings.ContainsAny(s, "/:[]") {
		return fmt.Sprintf("; did you mean %s%s:9000?", scheme, s)
	}
	return ""
}

// String is a as net has it.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Path
	}
	return net.JoinHostPort(a.Host, a.Port)
}

// httpHost is what HTTP calls it. A zone means nothing to anybody else.
func (a Address) httpHost() string {
	if a.Network == "unix" {
		return "localhost"
	}
	host, _, _ := strings.Cut(a.Host, "%")
	return net.JoinHostPort(host, a.Port)
}
