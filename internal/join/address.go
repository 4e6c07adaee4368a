package join

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"hubbub.example/internal/address"
)

// Address is the address of a server.
type Address = address.Address

// Protocol is the protocol of a connection.
type Protocol uint8

const (
	Whichever Protocol = iota // HubbubV1 if the server speaks it, else RawOnly
	RawOnly                   // messages with their separator
	HubbubV1                  // over a WebSocket
)

var protocols = map[string]Protocol{"tcp": RawOnly, "ws": HubbubV1, "http": HubbubV1}

// ProtocolAt returns the protocol that the address asks for.
func ProtocolAt(a Address) Protocol { return protocols[a.Scheme] }

// ParseAddress reads HOST:PORT, :PORT (this machine) or unix:PATH, whose protocol is
// detected; tcp://HOST:PORT for raw; ws:// or http://HOST:PORT for hubbub.v1.
func ParseAddress(s string) (Address, error) {
	a, err := address.Parse(s, "tcp", "ws", "http")
	switch {
	case err != nil:
		return Address{}, err
	case a.Target != "":
		return Address{}, fmt.Errorf("address %q: it must end after the port; use --since, --last and --name for the rest", s)
	case a.Path == "" && a.Host == "":
		a.Host = "localhost"
	}
	return a, nil
}

// httpHost returns the Host header for a, without a zone, which is local.
func httpHost(a Address) string {
	if a.Path != "" {
		return "localhost"
	}
	host, _, _ := strings.Cut(a.Host, "%")
	return net.JoinHostPort(host, strconv.Itoa(int(a.Port)))
}
