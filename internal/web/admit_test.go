//go:build unix

package web_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/web"
)

// Whoever asks to be a client is asked about, with all that is known; who may
// not come is told why, and nothing else of it happens.
func TestWhoIsNotAdmittedIsToldWhy(t *testing.T) {
	for _, test := range []struct {
		kind    web.Kind
		request string
	}{
		{web.Text, request("GET /?name=ann HTTP/1.1", "Host: localhost", "Cookie: a=b")},
		{web.Events, request("GET /?name=ann HTTP/1.1", "Host: localhost", "Cookie: a=b", events)},
		{web.WebSocket, request("GET /?name=ann HTTP/1.1", "Host: localhost", "Cookie: a=b", handshake)},
		{web.V1, request("GET /?name=ann HTTP/1.1", "Host: localhost", "Cookie: a=b", handshake, "Sec-WebSocket-Protocol: hubbub.v1")},
		{web.Post, request("POST /?name=ann HTTP/1.1", "Host: localhost", "Cookie: a=b", "Content-Length: 0")},
	} {
		asked := 0
		c := open(t, func(o *web.Options) {
			o.Admit = func(p web.Peer, k web.Kind, r *http.Request, name string) (string, error) {
				if asked++; k != test.kind || p != local || name != "ann" || r.Header.Get("Cookie") != "a=b" {
					t.Errorf("it is asked about %d %+v %q %v", k, p, name, r.Header)
				}
				return "", errors.New("members only")
			}
		})
		method, _, _ := strings.Cut(test.request, " ")
		r, body := c.visit(local, test.request).answer(method)
		if r.code != http.StatusForbidden || body != "members only\n" || asked != 1 || len(c.streams)+len(c.posts) != 0 {
			t.Errorf("kind %d: %d %q, asked %d times", test.kind, r.code, body, asked)
		}
	}
}

// Who decides who may come also says what they are called; the page, and who
// asks how the server is, are no clients.
func TestWhoAdmitsNames(t *testing.T) {
	c := open(t, func(o *web.Options) {
		o.Admit = func(_ web.Peer, _ web.Kind, _ *http.Request, name string) (string, error) {
			if name == "guest" {
				return "", nil
			}
			return "ann", nil
		}
	})
	for asked, want := range map[string]string{"bob": "ann", "guest": "guest"} {
		c.visit(local, request("GET /?name="+asked+" HTTP/1.1", "Host: localhost")).head("GET")
		s := scene.Next(t, c.streams, "a stream")
		unix.Close(s.FD)
		if s.Name != want {
			t.Errorf("%q is called %q, want %q", asked, s.Name, want)
		}
	}
	if r, _ := c.ask(local, health); r.code != 200 {
		t.Errorf("health is %d", r.code)
	}
}

// A connection whose request others have read is served as any other, with
// what had come behind the request.
func TestResumeServesWhatOthersRead(t *testing.T) {
	c := open(t, nil)
	for _, whole := range []bool{true, false} {
		for _, headers := range []string{anything, handshake} {
			all := request("GET / HTTP/1.1", "Host: localhost", headers) + "behind it"
			came, comes := all, ""
			if !whole {
				came, comes = all[:20], all[20:]
			}
			client, fd := c.pair()
			v := &visitor{Conn: client, c: c, r: bufio.NewReader(client)}
			v.send(comes)
			if !c.Resume(fd, local, []byte(came)) {
				t.Fatal("there is no place")
			}
			v.head("GET")
			s := scene.Next(t, c.streams, "a stream")
			f := file(t, s.FD)
			rest := make([]byte, len("behind it")-len(s.Input))
			if _, err := io.ReadFull(f, rest); err != nil || string(s.Input)+string(rest) != "behind it" {
				t.Errorf("behind the request came %q and %q (%v)", s.Input, rest, err)
			}
		}
	}
}
