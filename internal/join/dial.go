package join

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A Dialer connects as in RFC 8305 (Happy Eyeballs): it tries the addresses of a name,
// families alternating, each 250 ms after the one before or as soon as that has
// failed, and keeps the first connection.
//
// net.Dialer races the two families, but tries the addresses of one family one after
// the other, each with a share of the timeout of at least 2 s: with a dead first
// address of three and 10 s that takes 3.3 s instead of 0.25. So net.Dialer dials one
// address at a time here.
//
// Not done: connecting before the answer for the other family has come (section 3).
// The resolver returns all addresses at once, sorted as in RFC 6724.
type Dialer struct {
	Address Address

	// ConnectTimeout bounds one attempt, all addresses together. 0 means 10 s.
	ConnectTimeout time.Duration

	// Control is called with each socket before it connects, Connected after.
	Control   func(network, address string, c syscall.RawConn) error
	Connected func(net.Conn) error

	// Lookup resolves a name. nil means the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// stagger is RFC 8305's Connection Attempt Delay.
const stagger = 250 * time.Millisecond

// duplex is a connection whose directions can be closed separately.
type duplex interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
}

// dial connects, within the timeout.
func (d *Dialer) dial(ctx context.Context) (duplex, error) {
	ctx, cancel := context.WithTimeout(ctx, d.ConnectTimeout)
	defer cancel()
	addresses, err := d.resolve(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial %s %s: %w", d.Address.Network(), d.Address, err)
	}
	conn, err := d.race(ctx, addresses)
	if err != nil {
		return nil, err
	}
	if d.Connected != nil {
		if err := d.Connected(conn); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("dial %s %s: %w", d.Address.Network(), d.Address, err)
		}
	}
	return conn.(duplex), nil // as TCP and Unix connections are
}

// resolve returns the addresses to dial, in order.
func (d *Dialer) resolve(ctx context.Context) ([]string, error) {
	if d.Address.Path != "" {
		return []string{d.Address.Path}, nil
	}
	port := strconv.Itoa(int(d.Address.Port))
	if ip, err := netip.ParseAddr(d.Address.Host); err == nil {
		return []string{net.JoinHostPort(ip.String(), port)}, nil
	}
	ips, err := d.Lookup(ctx, d.Address.Host)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, ip := range takeTurns(ips) {
		addresses = append(addresses, net.JoinHostPort(ip.String(), port))
	}
	return addresses, nil
}

// lookup asks the system's resolver.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// takeTurns alternates families, and keeps the first address first (RFC 8305,
// section 4).
func takeTurns(ips []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, ip := range ips {
		ip = ip.Unmap()
		if len(first) == 0 || ip.Is4() == first[0].Is4() {
			first = append(first, ip)
		} else {
			second = append(second, ip)
		}
	}
	for i, ip := range second {
		first = slices.Insert(first, min(2*i+1, len(first)), ip)
	}
	return first
}

type attempt struct {
	conn net.Conn
	err  error
}

// race dials the addresses, each a moment after the one before, and returns
// the first connection.
func (d *Dialer) race(ctx context.Context, addresses []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan attempt, len(addresses))
	next := time.NewTimer(0)
	defer next.Stop()
	var failures []error
	for started := 0; len(failures) < len(addresses); {
		turn := next.C
		if started == len(addresses) {
			turn = nil
		}
		select {
		case <-turn:
			address := addresses[started]
			go func() { results <- d.attempt(ctx, address) }()
			started++
			next.Reset(stagger)
		case r := <-results:
			if r.err == nil {
				go closeLate(results, started-len(failures)-1)
				return r.conn, nil
			}
			failures = append(failures, r.err)
			next.Reset(0)
		}
	}
	switch len(failures) {
	case 0:
		return nil, fmt.Errorf("dial %s: the name has no address", d.Address)
	case 1:
		return nil, failures[0]
	}
	all := fmt.Errorf("no address of %s answers: %w", d.Address.Host, failures[0])
	for _, err := range failures[1:] {
		all = fmt.Errorf("%w; %w", all, err)
	}
	return nil, all
}

// closeLate closes connections that were not the first.
func closeLate(results <-chan attempt, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			_ = r.conn.Close()
		}
	}
}

// attempt dials one address. A Unix socket whose accept queue is full returns EAGAIN
// on Linux instead of waiting, so it tries again.
func (d *Dialer) attempt(ctx context.Context, address string) attempt {
	one := net.Dialer{Control: d.Control, KeepAlive: -1}
	for {
		conn, err := one.DialContext(ctx, d.Address.Network(), address)
		if !errors.Is(err, syscall.EAGAIN) || !pause(ctx, 20*time.Millisecond) {
			return attempt{conn, err}
		}
	}
}

// pause waits for d, and reports whether ctx is not done.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
