//go:build unix

package web_test

import (
	"testing"

	"hubbub.example/internal/web"
)

const (
	handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	events    = "Accept: text/event-stream"
	html      = "Accept: text/html,*/*;q=0.8"
	crossSite = "Sec-Fetch-Site: cross-site"
	sameSite  = "Sec-Fetch-Site: same-origin"
	navigates = "Sec-Fetch-Mode: navigate"
	anything  = "Accept: */*"

	whoIsThere = "GET /clients HTTP/1.1" // which is told to no page but our own
)

// A page of another origin may do nothing here, whatever it asks for.
func TestForeignPagesMayNotComeHere(t *testing.T) {
	c := open(t, func(o *web.Options) {
		o.Hosts = []string{"Hub.example"}
		o.Origins = []string{"https://app.example", "http://other.example:8080"}
	})
	for _, test := range []struct {
		name    string
		headers []string // the first two are Host and Origin
		foreign bool
		listed  bool
	}{
		{"no browser", []string{"localhost:9000", ""}, false, false},
		{"our own page", []string{"localhost:9000", "http://localhost:9000", sameSite}, false, false},
		{"our own page by address", []string{"[::1]:9000", "http://[::1]:9000"}, false, false},
		{"our own page behind TLS", []string{"hub.example", "https://hub.example"}, false, false},
		{"our own page, port given", []string{"hub.example:443", "https://hub.example"}, false, false},
		{"our own page, capitals and a dot", []string{"HUB.example.:9000", "http://hub.example:9000"}, false, false},
		{"another port", []string{"localhost:9000", "http://localhost:3000"}, true, false},
		{"another page", []string{"localhost:9000", "https://evil.example"}, true, false},
		{"another page that a browser marks", []string{"localhost:9000", "https://evil.example", crossSite}, true, false},
		{"the name as a part", []string{"localhost:9000", "http://localhost:9000.evil.example"}, true, false},
		{"a listed name's other scheme", []string{"localhost", "http://app.example"}, true, false},
		{"a listed name's other port", []string{"localhost", "https://app.example:8443"}, true, false},
		{"null", []string{"localhost:9000", "null"}, true, false},
		{"two origins", []string{"localhost:9000", "https://app.example\r\nOrigin: https://evil.example"}, true, false},
		{"no origin, cross-site", []string{"localhost:9000", "", crossSite}, true, false},
		{"a navigation, cross-site", []string{"localhost:9000", "", crossSite, navigates}, true, false},
		{"a listed page", []string{"localhost:9000", "https://app.example", crossSite}, false, true},
		{"a listed page, port given", []string{"localhost:9000", "https://APP.example:443"}, false, true},
		{"a listed page of another port", []string{"app.example", "http://other.example:8080"}, false, true},
	} {
		headers := []string{"Host: " + test.headers[0]}
		if origin := test.headers[1]; origin != "" {
			headers = append(headers, "Origin: "+origin)
		}
		headers = append(headers, test.headers[2:]...)
		for _, req := range []struct {
			first, header, body string
			code                int
		}{
			{"GET / HTTP/1.1", anything, "", 200},
			{"GET / HTTP/1.1", events, "", 200},
			{"GET / HTTP/1.1", handshake, "", 101},
			{"HEAD / HTTP/1.1", anything, "", 200},
			{"POST / HTTP/1.1", "Content-Length: 3", "hi\n", 204},
			{whoIsThere, html, "", 200},
			{"GET /healthz HTTP/1.1", anything, "", 200},
			{"GET /main.js HTTP/1.1", anything, "", 200},
			{"GET /nothing HTTP/1.1", anything, "", 404},
			{"OPTIONS / HTTP/1.1", "Access-Control-Request-Method: POST", "", 204},
		} {
			want := req.code
			if test.foreign || test.listed && req.first == whoIsThere {
				want = 403
			}
			r, body := c.ask(local, request(req.first, append(headers, req.header)...)+req.body)
			if r.code != want {
				t.Errorf("%s: %s, %s: %d %q, want %d", test.name, req.first, req.header, r.code, body, want)
			}
			if allowed := r.Header.Get("Access-Control-Allow-Origin"); want != 101 && (allowed != "") != test.listed {
				t.Errorf("%s: %s: allowed is %q", test.name, req.first, allowed)
			}
		}
	}
	for len(c.posts) > 0 {
		if post := <-c.posts; post != ":hi\n" {
			t.Errorf("posted: %q", post)
		}
	}
}

// A link leads to the page and to nothing else.
func TestLinkLeadsToThePageOnly(t *testing.T) {
	c := open(t, nil)
	for _, test := range []struct {
		first   string
		headers []string
		code    int
	}{
		{"GET / HTTP/1.1", []string{crossSite, navigates, html}, 200},
		{"GET /?name=ann HTTP/1.1", []string{crossSite, navigates, html}, 200},
		{"GET / HTTP/1.1", []string{crossSite, "Sec-Fetch-Mode: no-cors", html}, 403},
		{"GET / HTTP/1.1", []string{crossSite, html}, 403},
		{"GET / HTTP/1.1", []string{crossSite, navigates, anything}, 403},
		{"GET / HTTP/1.1", []string{crossSite, navigates, events}, 403},
		{"GET / HTTP/1.1", []string{crossSite, navigates, html, handshake}, 403},
		{"GET /clients HTTP/1.1", []string{crossSite, navigates, html}, 403},
		{"HEAD / HTTP/1.1", []string{crossSite, navigates, html}, 403},
		{"POST / HTTP/1.1", []string{crossSite, navigates, html, "Content-Length: 0"}, 403},
		{"POST / HTTP/1.1", []string{crossSite, navigates, html, "Origin: https://evil.example", "Content-Length: 0"}, 403},
	} {
		r, body := c.ask(local, request(test.first, append(test.headers, "Host: localhost")...))
		if r.code != test.code {
			t.Errorf("%s %q: %d %q, want %d", test.first, test.headers, r.code, body, test.code)
		}
	}
}

// A name that an attacker's DNS points here is not ours: its pages would be
// of our own origin.
func TestHostMustBeOurs(t *testing.T) {
	for _, test := range []struct {
		hosts, origins []string
		host           string
		ours           bool
	}{
		{nil, nil, "localhost", true},
		{nil, nil, "LOCALHOST.:9000", true},
		{nil, nil, "127.0.0.1:9000", true},
		{nil, nil, "192.0.2.7", true},
		{nil, nil, "[::1]:9000", true},
		{nil, nil, "[2001:db8::7]", true},
		{nil, nil, "evil.example", false},
		{nil, nil, "localhost.evil.example", false},
		{nil, nil, "127.0.0.1.evil.example:9000", false},
		{nil, nil, "2130706433", false},
		{nil, nil, "", false},
		{[]string{"hub.example"}, nil, "Hub.Example.:80", true},
		{[]string{"hub.example:9000"}, nil, "hub.example", true},
		{[]string{"hub.example"}, nil, "www.hub.example", false},
		{nil, []string{"https://app.example:8443"}, "app.example", true},
		{nil, []string{"null"}, "", false},
		{[]string{"*"}, nil, "any.example", true},
		{nil, []string{"*"}, "any.example", true},
	} {
		c := open(t, func(o *web.Options) { o.Hosts, o.Origins = test.hosts, test.origins })
		want := 421
		if test.ours {
			want = 200
		}
		for _, first := range []string{"GET / HTTP/1.1", "GET /healthz HTTP/1.1", "GET /main.js HTTP/1.1"} {
			r, body := c.ask(local, request(first, "Host: "+test.host))
			if r.code != want {
				t.Errorf("%q %q: %s to %q: %d %q, want %d", test.hosts, test.origins, first, test.host, r.code, body, want)
			}
		}
		c.Close()
	}
}

// No browser opens a WebSocket without an Origin, so who does may call us as he
// likes; a page of a name that is pointed here has one.
func TestAWebSocketOfAProgramMayCallUsAnything(t *testing.T) {
	c := open(t, nil)
	for headers, want := range map[string]int{
		handshake: 101,
		handshake + "\r\nOrigin: http://hub.example:9000": 421,
		handshake + "\r\nOrigin: ":                        421,
		handshake + "\r\n" + crossSite:                    403,
		"Connection: Upgrade":                             421,
	} {
		if r, body := c.ask(local, request("GET / HTTP/1.1", "Host: hub.example:9000", headers)); r.code != want {
			t.Errorf("%q: %d %q, want %d", headers, r.code, body, want)
		}
	}
}

// Who may use the Unix socket may use the server.
func TestUnixSocketAsksForNeitherHostNorOrigin(t *testing.T) {
	c := open(t, nil)
	unixPeer := web.Peer{Addr: "@", Local: true, Unix: true}
	for _, first := range []string{"GET / HTTP/1.1", "GET /clients HTTP/1.1"} {
		r, body := c.ask(unixPeer, request(first, "Host: evil.example", "Origin: https://evil.example", crossSite))
		if r.code != 200 || r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %q %v", first, r.code, body, r.Header)
		}
	}
}

// --origin '*' takes whatever there is.
func TestAnyOriginMayBeAllowed(t *testing.T) {
	c := open(t, func(o *web.Options) { o.Origins = []string{"*"} })
	for _, origin := range []string{"https://some.example", "null"} {
		r, _ := c.ask(local, request("GET / HTTP/1.1", "Host: hub.example", "Origin: "+origin, crossSite, events))
		if r.code != 200 || r.Header.Get("Access-Control-Allow-Origin") != origin || r.Header.Get("Vary") == "" {
			t.Errorf("%s: %d %v", origin, r.code, r.Header)
		}
	}
	if r, _ := c.ask(local, request("GET / HTTP/1.1", "Host: hub.example", crossSite)); r.code != 403 {
		t.Errorf("without an origin: %d", r.code)
	}
}

func TestPreflightOfAListedPage(t *testing.T) {
	c := open(t, func(o *web.Options) { o.Origins = []string{"https://app.example"} })
	r, _ := c.ask(local, request("OPTIONS / HTTP/1.1", "Host: localhost", "Origin: https://app.example", crossSite,
		"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type", "Access-Control-Request-Private-Network: true"))
	for key, want := range map[string]string{
		"Access-Control-Allow-Origin":          "https://app.example",
		"Access-Control-Allow-Methods":         "GET, HEAD, POST, OPTIONS",
		"Access-Control-Allow-Headers":         "Content-Type, Last-Event-ID, Cache-Control",
		"Access-Control-Max-Age":               "7200",
		"Access-Control-Allow-Private-Network": "true",
		"Vary":                                 "Origin",
	} {
		if r.code != 204 || r.Header.Get(key) != want {
			t.Errorf("%d, %s: %q, want %q", r.code, key, r.Header.Get(key), want)
		}
	}
}
