// Package address reads what a user writes to say where a server is:
//
//	HOST:PORT   :PORT   SCHEME://HOST:PORT   unix:PATH
//
// The caller decides which schemes there are, and what a missing host means.
package address

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Address is the parts of an address.
type Address struct {
	Scheme string // "tcp", "http"; "" for none
	Host   string // a name, an IP address, or ""
	Port   uint16
	Target string // what follows the port of a URL, without its first slash
	Path   string // of a Unix socket; then all others are empty
}

// Parse reads an address, of which the scheme must be one of those given.
func Parse(s string, schemes ...string) (Address, error) {
	fail := func(format string, args ...any) (Address, error) {
		return Address{}, fmt.Errorf("address %q: "+format, append([]any{s}, args...)...)
	}
	if path, is := strings.CutPrefix(s, "unix:"); is {
		if path == "" || strings.Contains(path, "\x00") {
			return fail("unix: must be followed by a path")
		}
		return Address{Path: path}, nil
	}
	forms := "must be HOST:PORT, :PORT, " + strings.Join(schemes, "://HOST:PORT, ") + "://HOST:PORT or unix:PATH"
	a, rest := Address{}, s
	if scheme, after, is := strings.Cut(s, "://"); is {
		switch {
		case slices.Contains(schemes, scheme):
		case scheme == "wss" || scheme == "https" || scheme == "tls":
			return fail("TLS is not supported; %s", forms)
		default:
			return fail("%s:// is not supported; %s", scheme, forms)
		}
		a.Scheme, rest = scheme, after
		if i := strings.IndexAny(after, "/?#"); i >= 0 && scheme != "tcp" {
			rest, a.Target = after[:i], strings.TrimPrefix(after[i:], "/")
		}
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return fail("%s%s", forms, hint(a.Scheme, rest))
	}
	if strings.Contains(port, "/") {
		return fail("it must end after the port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fail("the port must be a number from 0 to 65535")
	}
	if strings.ContainsAny(host, "/@ \t\r\n\x00") {
		return fail("%q is no host name or IP address", host)
	}
	a.Host, a.Port = host, uint16(n)
	return a, nil
}

// hint guesses what was meant by s, which stands behind a scheme, or none.
func hint(scheme, s string) string {
	if scheme != "" {
		scheme += "://"
	}
	_, err := strconv.ParseUint(s, 10, 16)
	switch {
	case err == nil:
		s = ":" + s
	case scheme == "" && strings.Contains(s, "/") && !strings.Contains(s, ":"):
		s = "unix:" + s
	case strings.Contains(s, ":") && net.ParseIP(s) != nil:
		s = "[" + s + "]:9000"
	case s != "" && !strings.ContainsAny(s, "/:[] "):
		s += ":9000"
	default:
		return ""
	}
	return fmt.Sprintf("; did you mean %s%s?", scheme, s)
}

// Network returns what net calls it: "tcp" or "unix".
func (a Address) Network() string {
	if a.Path != "" {
		return "unix"
	}
	return "tcp"
}

// String returns the address without its scheme.
func (a Address) String() string {
	if a.Path != "" {
		return "unix:" + a.Path
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}
