package join

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"host:9000":             "tcp host:9000",
		":9000":                 "tcp localhost:9000",
		"tcp://host:9000":       "tcp host:9000",
		"tcp://:9000":           "tcp localhost:9000",
		"[::1]:9000":            "tcp [::1]:9000",
		"[fe80::1%eth0]:9000":   "tcp [fe80::1%eth0]:9000",
		"192.0.2.7:65535":       "tcp 192.0.2.7:65535",
		"unix:/run/app.sock":    "unix unix:/run/app.sock",
		"ws://host:9000":        "tcp host:9000",
		"http://host:9000/":     "tcp host:9000",
		"http://[::1]:9000":     "tcp [::1]:9000",
		"ws://:9000":            "tcp localhost:9000",
		"unix:s":                "unix unix:s",
		"unix:a:1":              "unix unix:a:1",
		"unix:tcp://host:1":     "unix unix:tcp://host:1",
		"unix:/with space/and ": "unix unix:/with space/and ",
	} {
		if a, err := ParseAddress(in); err != nil || a.Network+" "+a.String() != want {
			t.Errorf("ParseAddress(%q) = %s %s, %v, want %s", in, a.Network, a, err, want)
		}
	}
	for in, want := range map[string]string{
		"":               "must be HOST:PORT, :PORT, tcp://HOST:PORT, ws://HOST:PORT or unix:PATH",
		"9000":           "did you mean :9000?",
		"host":           "did you mean host:9000?",
		"::1":            "did you mean [::1]:9000?",
		"/run/app.sock":  "did you mean unix:/run/app.sock?",
		"host:":          "the port must be a number, 1 to 65535",
		"host:http":      "the port must be a number",
		"host:65536":     "the port must be a number",
		"host:-1":        "the port must be a number",
		"tcp://9000":     "did you mean tcp://:9000?",
		"ws://host":      "did you mean ws://host:9000?",
		"http://host/":   "did you mean http://host:9000?",
		"udp://host:1":   "udp:// is not supported",
		"wss://host:1":   "TLS is not supported",
		"https://host":   "TLS is not supported",
		"ws://host:1/x":  "it must end after the port; use --since, --last and --name for the rest",
		"ws://h:1?last=": "it must end after the port",
		"ws://me@host:1": "it must end after the port",
		"tcp://host:1/x": "it must end after the port",
		"a/b:1":          `"a/b" is no host`,
		"a b:1":          `"a b" is no host`,
		"unix:":          "must be followed by a path",
		"unix:a\x00":     "must be followed by a path",
	} {
		if a, err := ParseAddress(in); err == nil || !strings.Contains(err.Error(), want) {
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
		if a, err := ParseAddress(in); err != nil || a.Protocol != want {
			t.Errorf("ParseAddress(%q) says protocol %d, %v, want %d", in, a.Protocol, err, want)
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
		if got := a.httpHost(); got != want {
			t.Errorf("the Host of %q is %q, want %q", in, got, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"host:9000", ":9000", "tcp://[::1]:1", "unix:/x", "9000", "ws://x", "http://x:1/", "[::1", "a%b:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddress(in)
		if err != nil {
			if a != (Address{}) || err.Error() == "" {
				t.Fatalf("ParseAddress(%q) = %#v, %v", in, a, err)
			}
			return
		}
		again, err := ParseAddress(a.String())
		if again.Protocol = a.Protocol; err != nil || again != a {
			t.Fatalf("ParseAddress(%q) = %#v, which reads as %#v, %v", in, a, again, err)
		}
	})
}
