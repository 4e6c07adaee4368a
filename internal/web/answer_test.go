//go:build unix

package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"hubbub.example/internal/web"
)

func TestRequestsGetTheirAnswers(t *testing.T) {
	c := open(t, nil)
	far := web.Peer{Addr: "192.0.2.7:5123"}
	const host = "Host: localhost:9000"
	for _, test := range []struct {
		request string
		peer    web.Peer
		code    int
		header  string // "Key: value"
		body    string // how it begins
	}{
		{request("GET / HTTP/1.1", host), local, 200, "Content-Type: text/plain; charset=utf-8", ""},
		{request("GET / HTTP/1.1", host), local, 200, "X-Accel-Buffering: no", ""},
		{request("GET / HTTP/1.1", host, "Accept: */*"), far, 200, "Cache-Control: no-store", ""},
		{request("GET / HTTP/1.0"), local, 200, "Content-Type: text/plain; charset=utf-8", ""},
		{request("GET http://localhost/ HTTP/1.1", host), local, 200, "X-Content-Type-Options: nosniff", ""},
		{request("GET / HTTP/1.1", host, "Accept: text/event-stream"), local, 200, "Content-Type: text/event-stream", ""},
		{request("GET / HTTP/1.1", host, "Accept: text/event-stream"), local, 200, "X-Accel-Buffering: no", ""},
		{request("GET / HTTP/1.1", host, "Accept: text/html"), local, 200, "Content-Type: text/html; charset=utf-8", "<!doctype html>"},
		{request("GET /page.css HTTP/1.1", host), far, 200, "Content-Type: text/css; charset=utf-8", ""},
		{request("GET /main.js HTTP/1.1", host), far, 200, "Content-Type: text/javascript; charset=utf-8", ""},
		{request("GET /icon.svg HTTP/1.1", host), far, 200, "Content-Type: image/svg+xml", "<svg"},
		{request("GET /favicon.ico HTTP/1.1", host), far, 200, "Content-Type: image/vnd.microsoft.icon", "\x00\x00\x01\x00\x01\x00"},
		{request("HEAD /favicon.ico HTTP/1.1", host), far, 200, "Cache-Control: no-cache", ""},
		{request("HEAD /favicon.ico HTTP/1.1", host), far, 200, "Content-Length: 1128", ""},
		{request("HEAD / HTTP/1.1", host), local, 200, "Content-Type: text/plain; charset=utf-8", ""},
		{request("HEAD / HTTP/1.1", host, "Accept: text/event-stream"), local, 200, "Content-Type: text/event-stream", ""},
		{request("HEAD /main.js HTTP/1.1", host), local, 200, "Cache-Control: no-cache", ""},
		{request("HEAD /healthz HTTP/1.1", host), local, 200, "Content-Type: application/json", ""},
		{request("GET /healthz HTTP/1.1", host), far, 200, "Content-Type: application/json", `{"status":"ok"}` + "\n"},
		{request("GET /healthz HTTP/1.0"), far, 200, "", `{"status":"ok"}`},
		{request("GET /clients HTTP/1.1", host), local, 200, "Cache-Control: no-store", `{"clients":0}` + "\n"},
		{request("GET /clients HTTP/1.0", host), local, 403, "", "/clients is available from this machine only"},
		{request("OPTIONS / HTTP/1.1", host), local, 204, "Allow: GET, HEAD, POST, OPTIONS", ""},
		{request("OPTIONS * HTTP/1.1", host), local, 204, "Allow: GET, HEAD, POST, OPTIONS", ""},
		{request("OPTIONS /clients HTTP/1.1", host), local, 204, "Allow: GET, HEAD, OPTIONS", ""},
		{request("OPTIONS /nothing HTTP/1.1", host), local, 404, "", "not found"},
		{request("GET /nothing HTTP/1.1", host), local, 404, "Content-Type: text/plain; charset=utf-8", "not found"},
		{request("GET /index.html HTTP/1.1", host), local, 404, "", ""},
		{request("GET /page/main.js HTTP/1.1", host), local, 404, "", ""},
		{request("GET /../healthz HTTP/1.1", host), local, 404, "", ""},
		{request("GET * HTTP/1.1", host), local, 404, "", ""},
		{request("PUT / HTTP/1.1", host), local, 405, "Allow: GET, HEAD, POST, OPTIONS", "method not allowed; allowed: GET"},
		{request("get / HTTP/1.1", host), local, 405, "", ""},
		{request("PUT / HTTP/1.1", host, "Content-Length: 2") + "ab", local, 405, "Allow: GET, HEAD, POST, OPTIONS", "method not allowed; allowed: GET"},
		{request("PUT / HTTP/1.1", host, "Transfer-Encoding: chunked") + "2\r\nab\r\n0\r\n\r\n", local, 405, "Connection: close", "method not allowed; allowed: GET"},
		{request("DELETE /healthz HTTP/1.1", host, "Content-Length: 2") + "ab", local, 405, "Allow: GET, HEAD, OPTIONS", "method not allowed; allowed: GET"},
		{request("PUT /nothing HTTP/1.1", host, "Content-Length: 2") + "ab", local, 404, "Connection: close", "not found"},
		{request("PUT / HTTP/1.1", host, "Content-Length: 20000000", "Expect: 100-continue"), local, 405, "Connection: close", "method not allowed; allowed: GET"},
		{request("POST /clients HTTP/1.1", host, "Content-Length: 2") + "ab", local, 405, "Allow: GET, HEAD, OPTIONS", ""},
		{request("POST /main.js HTTP/1.1", host, "Content-Length: 0"), local, 405, "Allow: GET, HEAD, OPTIONS", ""},
		{request("GET / HTTP/1.1", host, "Content-Length: 5") + "hello", local, 400, "Connection: close", "only POST takes a body"},
		{request("GET / HTTP/1.1", host, "Content-Length: 5"), local, 400, "Connection: close", "only POST takes a body"},
		{request("GET /?since=4711 HTTP/1.1", host), local, 400, "", "since must be EPOCH-SEQ"},
		{request("GET /?last=-1 HTTP/1.1", host), local, 400, "", "last must be a number"},
		{request("GET /?last= HTTP/1.1", host), local, 400, "", "last must be a number"},
		{request("GET /?name=a%00b HTTP/1.1", host), local, 400, "", `name "a`},
		{request("GET /?name=a%ffb HTTP/1.1", host), local, 400, "", `name "a`},
		{request("GET /?name="+strings.Repeat("a", 65)+" HTTP/1.1", host), local, 400, "", `name "a`},
		{request("GET /?name=%zz HTTP/1.1", host), local, 400, "", "malformed parameters"},
		{request("POST /?name=a%0ab HTTP/1.1", host, "Content-Length: 0"), local, 400, "", `name "a`},
		{request("GET / HTTP/1.1"), local, 400, "", ""}, // net/http's own
		{request("GET / HTTP/1.1", host, "Cookie: "+strings.Repeat("a", 21<<10)), local, 431, "", ""},
	} {
		r, body := c.ask(test.peer, test.request)
		if r.code != test.code || !strings.HasPrefix(body, test.body) {
			t.Errorf("%.300q: %d %q, want %d %q", test.request, r.code, body, test.code, test.body)
		}
		if key, value, _ := strings.Cut(test.header, ": "); key == "Connection" && !r.Close || key != "" && key != "Connection" && r.Header.Get(key) != value {
			t.Errorf("%.300q: %s is %q, want %q", test.request, key, r.Header.Get(key), value)
		}
		if r.code >= 400 && r.code != 431 && test.body != "" && !strings.HasSuffix(body, "\n") {
			t.Errorf("%.300q: %q does not end in a newline", test.request, body)
		}
	}
}

// /clients is for this machine only. A proxy on this machine brings
// others' requests.
func TestClientsAreForThisMachineOnly(t *testing.T) {
	c := open(t, nil)
	for _, test := range []struct {
		peer   web.Peer
		header string
		code   int
	}{
		{web.Peer{Local: true}, "Accept: */*", 200},
		{web.Peer{Local: true, Unix: true}, "Accept: */*", 200},
		{web.Peer{}, "Accept: */*", 403},
		{web.Peer{Local: true}, "Forwarded: for=192.0.2.7", 403},
		{web.Peer{Local: true}, "X-Forwarded-For: 192.0.2.7", 403},
		{web.Peer{Local: true}, "X-Real-IP: 192.0.2.7", 403},
		{web.Peer{Local: true, Unix: true}, "Via: 1.1 proxy", 403},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r, body := c.ask(test.peer, request(method+" /clients HTTP/1.1", "Host: localhost", test.header))
			if r.code != test.code {
				t.Errorf("%+v %s: %d %q, want %d", test.peer, test.header, r.code, body, test.code)
			}
		}
	}
}

// Nor to a page of another site in a browser on this machine, even one that may
// come for everything else.
func TestClientsAreForNoOtherSitesPage(t *testing.T) {
	for _, origins := range [][]string{{"https://friend.example", "null"}, {"*"}} {
		c := open(t, func(o *web.Options) { o.Origins = origins })
		for _, peer := range []web.Peer{{Local: true}, {Local: true, Unix: true}} {
			for origin, code := range map[string]int{
				"http://localhost:9000":  200, // its own
				"https://friend.example": 403,
				"null":                   403,
				"http://localhost:8000":  403,
			} {
				r, body := c.ask(peer, request("GET /clients HTTP/1.1", "Host: localhost:9000", "Origin: "+origin))
				if r.code != code {
					t.Errorf("%v, %+v, from %s: %d %q, want %d", origins, peer, origin, r.code, body, code)
				}
				if r, _ := c.ask(peer, request("GET /healthz HTTP/1.1", "Host: localhost:9000", "Origin: "+origin)); r.code != 200 && origin != "http://localhost:8000" {
					t.Errorf("%v, %+v, from %s: /healthz is %d", origins, peer, origin, r.code)
				}
			}
		}
	}
}

func TestHealthSaysWhenItIsNotWell(t *testing.T) {
	c := open(t, func(o *web.Options) {
		o.Health = func() (any, bool) { return map[string]string{"status": "ending"}, false }
	})
	r, body := c.ask(local, request("GET /healthz HTTP/1.1", "Host: localhost"))
	if r.code != 503 || body != `{"status":"ending"}`+"\n" {
		t.Fatalf("%d %q", r.code, body)
	}
}

// Whoever would be another client is told that there is no room; the page and
// the rest are still there.
func TestFullServerHasNoRoomForClientsOnly(t *testing.T) {
	c := open(t, func(o *web.Options) {
		o.Full = func() error { return errors.New("the server is full (2 clients)") }
	})
	for _, req := range []string{
		request("GET / HTTP/1.1", "Host: localhost"),
		request("HEAD / HTTP/1.1", "Host: localhost"),
		request("GET / HTTP/1.1", "Host: localhost", "Accept: text/event-stream"),
		request("GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
		request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 3") + "hi\n",
		// It is not asked for its body.
		request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 3000", "Expect: 100-continue"),
	} {
		r, body := c.ask(local, req)
		if r.code != 503 || r.Header.Get("Retry-After") == "" || req[0] != 'H' && body != "the server is full (2 clients)\n" {
			t.Errorf("%q: %d %v %q", req, r.code, r.Header, body)
		}
	}
	for _, req := range []string{
		request("GET / HTTP/1.1", "Host: localhost", "Accept: text/html"),
		request("GET /healthz HTTP/1.1", "Host: localhost"),
	} {
		if r, _ := c.ask(local, req); r.code != 200 {
			t.Errorf("%q: %d", req, r.code)
		}
	}
}

func TestPageIsSentOnceAndMayDoLittle(t *testing.T) {
	c := open(t, nil)
	v := c.visit(local, request("GET / HTTP/1.1", "Host: localhost", "Accept: text/html"))
	r, _ := v.answer("GET")
	tag := r.Header.Get("ETag")
	if tag == "" || r.Header.Get("Cache-Control") != "no-cache" || r.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatal(r.Header)
	}
	policy := r.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%q lacks %q", policy, want)
		}
	}
	v.send(request("GET / HTTP/1.1", "Host: localhost", "Accept: text/html", "If-None-Match: "+tag))
	if r, body := v.answer("GET"); r.code != http.StatusNotModified || body != "" {
		t.Fatalf("%d %q", r.code, body)
	}
}

// What goes wrong in here ends one connection, and is logged.
func TestPanicEndsOneConnection(t *testing.T) {
	bad := true
	c := open(t, func(o *web.Options) {
		o.Health = func() (any, bool) {
			if bad {
				panic("an inner secret")
			}
			return "well", true
		}
	})
	v := c.visit(local, request("GET /healthz HTTP/1.1", "Host: localhost"))
	if _, err := http.ReadResponse(v.r, nil); err == nil {
		t.Fatal("there is an answer")
	}
	if text := c.logs.text(); !strings.Contains(text, "an inner secret") || !strings.Contains(text, "answer_test.go") {
		t.Fatalf("logged: %q", text)
	}
	bad = false
	if r, _ := c.ask(local, request("GET /healthz HTTP/1.1", "Host: localhost")); r.code != 200 {
		t.Fatal(r.code)
	}
}

// A request as long as one may be makes no line of the log as long.
func TestALongRequestIsToldOfInShort(t *testing.T) {
	logs := &logbook{}
	c := open(t, func(o *web.Options) { o.Debugf = logs.logf })
	if r, _ := c.ask(local, request("GET /"+strings.Repeat("a", 15000)+" HTTP/1.1", "Host: localhost")); r.code != 404 {
		t.Error(r.code)
	}
	if text := logs.text(); !strings.Contains(text, `"GET" "/aaa`) || len(text) > 500 {
		t.Errorf("it is told of in %d bytes: %.100s", len(text), text)
	}
}
