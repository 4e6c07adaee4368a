package join

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

func TestFamiliesTakeTurns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"192.0.2.1", "192.0.2.1"},
		{"2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2", "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2"},
		{"192.0.2.1 2001:db8::1 2001:db8::2 2001:db8::3", "192.0.2.1 2001:db8::1 2001:db8::2 2001:db8::3"},
		{"2001:db8::1 2001:db8::2", "2001:db8::1 2001:db8::2"},
		{"::ffff:192.0.2.1 2001:db8::1 192.0.2.2", "192.0.2.1 2001:db8::1 192.0.2.2"},
	} {
		var got []string
		for _, ip := range takeTurns(ips(c.in)) {
			got = append(got, ip.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", c.in, got, c.want)
		}
	}
}

func ips(list string) (all []netip.Addr) {
	for s := range strings.FieldsSeq(list) {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// named makes o's address a name that has these addresses.
func named(o Options, port, list string) Options {
	o.Address, _ = ParseAddress("name.example:" + port)
	o.Lookup = func(context.Context, string) ([]netip.Addr, error) { return ips(list), nil }
	return o
}

func TestEveryRefusalIsNamed(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	_ = s.Close()
	_, port, _ := strings.Cut(s.Addr().String(), ":")
	j := startAt(t, named(Options{}, port, "127.0.0.1 ::1"))
	err := j.ends()
	for _, want := range []string{
		"no address of name.example answers: ",
		fmt.Sprintf("dial tcp 127.0.0.1:%s: connect: connection refused", port),
		fmt.Sprintf("dial tcp [::1]:%s: connect: ", port),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it says %v, want in it %q", err, want)
		}
	}
}

func TestNameWithoutAddressesIsSaid(t *testing.T) {
	t.Parallel()
	j := startAt(t, named(Options{}, "1", ""))
	j.failsWith("name.example:1: the name has no address")
}

func TestNameThatIsNone(t *testing.T) {
	t.Parallel()
	o := named(Options{}, "1", "")
	o.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return nil, fmt.Errorf("lookup name.example: no such host")
	}
	startAt(t, o).failsWith("dial tcp name.example:1: lookup name.example: no such host")
}

// A resolver that never answers is given no longer than the rest.
func TestConnectTimeoutBoundsTheLookup(t *testing.T) {
	t.Parallel()
	o := named(Options{Dialer: Dialer{ConnectTimeout: 10 * time.Millisecond}}, "1", "")
	o.Lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	startAt(t, o).failsWith("dial tcp name.example:1: ")
}

func TestStopWhileConnecting(t *testing.T) {
	t.Parallel()
	o := named(Options{Dialer: Dialer{ConnectTimeout: scene.LongEnough}}, "1", "")
	asked := make(chan struct{})
	o.Lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		close(asked)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	j := startAt(t, o)
	await(t, asked, "the lookup")
	j.stop()
	j.failsWith("stopped before name.example:1 answered")
}
