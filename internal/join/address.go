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
}

const addressForms = "HOST:PORT, :PORT, tcp://HOST:PORT or unix:PATH"

// ParseAddress reads HOST:PORT, :PORT (this machine), tcp://HOST:PORT or
// unix:PATH.
func ParseAddress(s string) (Address, error) {
	if path, is := strings.CutPrefix(s, "unix:"); is {
		return parsePath(s, path)
	}
	rest := strings.TrimPrefix(s, "tcp://")
	if scheme, _, is := strings.Cut(rest, "://"); is {
		return Address{}, fmt.Errorf("address %q: %s:// is not spoken here; it must be %s", s, scheme, addressForms)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: must be %s%s", s, addressForms, hint(rest))
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
	return Address{Network: "tcp", Host: host, Port: port}, nil
}

func parsePath(s, path string) (Address, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return Address{}, fmt.Errorf("address %q: after unix: comes the path of a socket", s)
	}
	return Address{Network: "unix", Path: path}, nil
}

// hint guesses what was meant.
func hint(s string) string {
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return fmt.Sprintf("; did you mean :%s?", s)
	}
	if strings.Contains(s, "/") {
		return fmt.Sprintf("; did you mean unix:%s?", s)
	}
	if ip := net.ParseIP(s); ip != nil && strings.Contains(s, ":") {
		return fmt.Sprintf("; did you mean [%s]:9000?", s)
	}
	if s != "" && !strings.ContainsAny(s, ":[]") {
		return fmt.Sprintf("; did you mean %s:9000?", s)
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
