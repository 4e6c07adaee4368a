package address

import (
	"strings"
	"testing"
)

func TestParseReadsWhatIsMeant(t *testing.T) {
	for in, want := range map[string]Address{
		"localhost:9000":          {Host: "localhost", Port: 9000},
		"127.0.0.1:0":             {Host: "127.0.0.1"},
		"192.0.2.7:65535":         {Host: "192.0.2.7", Port: 65535},
		":9000":                   {Port: 9000},
		":0":                      {},
		"[::1]:9000":              {Host: "::1", Port: 9000},
		"[fe80::1%eth0]:65535":    {Host: "fe80::1%eth0", Port: 65535},
		"tcp://localhost:9000":    {Scheme: "tcp", Host: "localhost", Port: 9000},
		"tcp://:9000":             {Scheme: "tcp", Port: 9000},
		"tcp://unix:9000":         {Scheme: "tcp", Host: "unix", Port: 9000},
		"http://localhost:9000":   {Scheme: "http", Host: "localhost", Port: 9000},
		"http://localhost:9000/":  {Scheme: "http", Host: "localhost", Port: 9000},
		"http://[::1]:9000/a?b=c": {Scheme: "http", Host: "::1", Port: 9000, Target: "a?b=c"},
		"http://localhost:1?b=c":  {Scheme: "http", Host: "localhost", Port: 1, Target: "?b=c"},
		"unix:/run/hub.sock":      {Path: "/run/hub.sock"},
		"unix:hub":                {Path: "hub"},
		"unix:a:1":                {Path: "a:1"},
		"unix:9000":               {Path: "9000"},
		"unix:tcp://host:1":       {Path: "tcp://host:1"},
		"unix:/with space/and ":   {Path: "/with space/and "},
	} {
		if got, err := Parse(in, "tcp", "http"); err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", in, got, err, want)
		}
	}
}

// What is wrong with an address comes with what would be right.
func TestParseSaysWhatWouldBeRight(t *testing.T) {
	const forms = "must be HOST:PORT, :PORT, tcp://HOST:PORT, http://HOST:PORT or unix:PATH"
	for in, says := range map[string]string{
		"":                      forms,
		"9000":                  forms + "; did you mean :9000?",
		"tcp://9000":            forms + "; did you mean tcp://:9000?",
		"localhost":             forms + "; did you mean localhost:9000?",
		"http://localhost":      forms + "; did you mean http://localhost:9000?",
		"http://localhost/":     forms + "; did you mean http://localhost:9000?",
		"tcp://localhost/":      forms,
		"tcp://":                forms,
		"tcp://tcp":             forms + "; did you mean tcp://tcp:9000?",
		"::1":                   forms + "; did you mean [::1]:9000?",
		"/run/hub":              forms + "; did you mean unix:/run/hub?",
		"::1:9000":              forms + "; did you mean [::1:9000]:9000?",
		"[::1]":                 forms,
		"[::1:9000":             forms,
		"udp://localhost:9000":  "udp:// is not supported; " + forms,
		"wss://localhost:9000":  "TLS is not supported; " + forms,
		"https://localhost":     "TLS is not supported; " + forms,
		"localhost:9000/path":   "it must end after the port",
		"tcp://localhost:9000/": "it must end after the port",
		"localhost:":            "the port must be a number from 0 to 65535",
		"localhost:http":        "the port must be a number from 0 to 65535",
		"localhost:-1":          "the port must be a number from 0 to 65535",
		"localhost:+1":          "the port must be a number from 0 to 65535",
		"localhost:65536":       "the port must be a number from 0 to 65535",
		"local host:9000":       `"local host" is no host name or IP address`,
		"/run/hub:9000":         `"/run/hub" is no host name or IP address`,
		"a/b:1":                 `"a/b" is no host name or IP address`,
		"http://me@localhost:1": `"me@localhost" is no host name or IP address`,
		"unix:":                 "unix: must be followed by a path",
		"unix:a\x00b":           "unix: must be followed by a path",
	} {
		_, err := Parse(in, "tcp", "http")
		if err == nil || !strings.HasPrefix(err.Error(), "address ") || !strings.HasSuffix(err.Error(), says) {
			t.Errorf("Parse(%q): %v, want that it says %q", in, err, says)
		}
	}
}

// Whatever is read as an address is the same when it is read back.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"localhost:9000", ":0", "[::1]:80", "tcp://[fe80::1%eth0]:1", "tcp://unix:1", "http://x:1/", "http://x:1?a#b", "a%b:1",
		"unix:/run/hub.sock", "unix:", "unix:@name", "x", "[", "tcp://", "a:65536", "\x00:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := Parse(in, "tcp", "http")
		if err != nil {
			if a != (Address{}) || !strings.Contains(err.Error(), "address ") {
				t.Fatalf("Parse(%q) = %+v, %v", in, a, err)
			}
			return
		}
		back := a.String()
		if a.Path == "" {
			back = "tcp://" + back // there may be a host named unix
			a.Scheme, a.Target = "tcp", ""
		} else if a != (Address{Path: a.Path}) {
			t.Fatalf("Parse(%q) = %+v", in, a)
		}
		if again, err := Parse(back, "tcp", "http"); err != nil || again != a {
			t.Fatalf("Parse(%q) = %+v, which is %s, which reads as %+v, %v", in, a, back, again, err)
		}
	})
}
