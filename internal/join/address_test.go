package join

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"host:9000":           "tcp host:9000",
		":9000":               "tcp localhost:9000",
		"tcp://:9000":         "tcp localhost:9000",
		"[fe80::1%eth0]:9000": "tcp [fe80::1%eth0]:9000",
		"unix:/run/app.sock":  "unix unix:/run/app.sock",
		"ws://host:9000":      "tcp host:9000",
		"http://host:9000/":   "tcp host:9000",
	} {
		if a, err := ParseAddress(in); err != nil || a.Network()+" "+a.String() != want {
			t.Errorf("ParseAddress(%q) = %+v, %v, want %s", in, a, err, want)
		}
	}
	for in, want := range map[string]string{
		"":               "must be HOST:PORT, :PORT, tcp://HOST:PORT, ws://HOST:PORT, http://HOST:PORT or unix:PATH",
		"ws://host":      "did you mean ws://host:9000?",
		"ws://host:1/x":  "it must end after the port; use --since, --last and --name for the rest",
		"ws://h:1?last=": "it must end after the port; use --since, --last and --name for the rest",
	} {
		if a, err := ParseAddress(in); a != (Address{}) || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAddress(%q) = %v, %v, want in the error: %s", in, a, err, want)
		}
	}
}

func TestSchemeSaysWhatIsSpoken(t *testing.T) {
	for in, want := range map[string]Protocol{
		"host:9000":       Whichever,
		":9000":           Whichever,
		"unix:/x":         Whichever,
		"tcp://host:9000": RawOnly,
		"ws://host:9000":  HubbubV1,
		"http://:9000":    HubbubV1,
	} {
		if a, err := ParseAddress(in); err != nil || ProtocolAt(a) != want {
			t.Errorf("ParseAddress(%q) says protocol %d, %v, want %d", in, ProtocolAt(a), err, want)
		}
	}
}

func TestHostIsTheAddressAsGiven(t *testing.T) {
	for in, want := range map[string]string{
		"host:9000":            "host:9000",
		":9000":                "localhost:9000",
		"[::1]:9000":           "[::1]:9000",
		"[fe80::1%eth0]:9000":  "[fe80::1]:9000",
		"unix:/run/app.socket": "localhost",
	} {
		a, err := ParseAddress(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := httpHost(a); got != want {
			t.Errorf("the Host of %q is %q, want %q", in, got, want)
		}
	}
}
