//go:build unix

package hubbub_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

const wantsWebSocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="

// visits are how somebody may come, and what is known of each.
var visits = []struct{ protocol, says string }{
	{"raw", "hello\n"},
	{"text", request("GET", "/?name=ann", "Cookie: a=b")},
	{"sse", request("GET", "/?name=ann", "Cookie: a=b", "Accept: text/event-stream")},
	{"websocket", request("GET", "/?name=ann", "Cookie: a=b", wantsWebSocket)},
	{"hubbub.v1", request("GET", "/?name=ann", "Cookie: a=b", wantsWebSocket, "Sec-WebSocket-Protocol: hubbub.v1")},
	{"post", request("POST", "/?name=ann", "Cookie: a=b", "Content-Length: 0")},
}

// Whoever is not admitted is told why, by every protocol, and never joins.
func TestWhoIsNotAdmittedIsToldWhy(t *testing.T) {
	t.Parallel()
	for _, visit := range visits {
		t.Run(visit.protocol, func(t *testing.T) {
			t.Parallel()
			asked := make(chan hubbub.Visitor, 10)
			s := openAny(t, hubbub.Options{Admit: func(v hubbub.Visitor) (string, error) {
				asked <- v
				return "", errors.New("members only")
			}})
			p := dial(t, s.at)
			p.Says(visit.says)
			v := scene.Next(t, asked, "a question")
			if v.Protocol != visit.protocol || v.Addr != p.LocalAddr().String() {
				t.Errorf("it is asked about %+v", v)
			}
			if visit.protocol == "raw" {
				p.Hears("hubbub: refused: members only\n")
				p.HearsEnd()
				if v.Request != nil {
					t.Errorf("a raw client has a request")
				}
			} else {
				if v.Name != "ann" || v.Request.Header.Get("Cookie") != "a=b" {
					t.Errorf("it is asked about %+v", v)
				}
				answer := p.answered("GET")
				if why, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusForbidden || string(why) != "members only\n" {
					t.Errorf("it is told %s %q", answer.Status, why)
				}
			}
			if n := s.Stats().Joins; n != 0 {
				t.Errorf("%d have joined", n)
			}
		})
	}
}

// Who decides who may come also says what they are called; a name that nobody
// could choose admits nobody.
func TestAdmitNames(t *testing.T) {
	t.Parallel()
	for _, visit := range visits {
		t.Run(visit.protocol, func(t *testing.T) {
			t.Parallel()
			s := openAny(t, hubbub.Options{Admit: func(hubbub.Visitor) (string, error) { return "bob", nil }})
			dial(t, s.at).Says(visit.says)
			all := s.events.When(t, "it has joined", func(all []hubbub.Event) bool { return len(all) > 0 })
			if all[0].Kind != hubbub.Join || all[0].Name != "bob" || all[0].Protocol != visit.protocol {
				t.Errorf("it comes as %+v", all[0])
			}
		})
	}
	s := openAny(t, hubbub.Options{Admit: func(hubbub.Visitor) (string, error) { return "a\nb", nil }})
	p := dial(t, s.at)
	p.Says("hello\n")
	if answer, err := io.ReadAll(p.R); err != nil || !strings.Contains(string(answer), "must be 1 to 64 bytes") {
		t.Errorf("it is told %q (%v)", answer, err)
	}
}

// However long the caller takes to decide, nobody else waits, and nothing that
// the visitor says meanwhile is lost, its end of file included.
func TestAdmitMayTakeItsTime(t *testing.T) {
	t.Parallel()
	everyAny(t, func(t *testing.T, address string) {
		asked, decide := make(chan hubbub.Visitor, 10), make(chan error)
		s := openAt(t, address, unhurried(hubbub.Options{Loops: 1, Admit: func(v hubbub.Visitor) (string, error) {
			if v.Protocol != "raw" {
				return "", nil
			}
			asked <- v
			return "", <-decide
		}}))
		p := dial(t, s.at)
		p.Says("first\n")
		scene.Next(t, asked, "a question")
		p.Says("last")
		p.Done()
		other := s.stream("/?last=0")
		for i := range 10 {
			s.says(fmt.Sprint(i))
			other.Hears(fmt.Sprintln(i))
		}
		close(decide)
		s.hears("2 first", "2 last")
		p.Hears("0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n") // it misses nothing
		p.HearsEnd()
		if reason := s.leaves(2); reason != "done" {
			t.Errorf("it left because %q", reason)
		}
	})
}

// A hub that closes does not wait for the caller to decide.
func TestCloseWhileAdmitDecides(t *testing.T) {
	t.Parallel()
	asked, decide := make(chan struct{}), make(chan struct{})
	s := openAny(t, hubbub.Options{Admit: func(hubbub.Visitor) (string, error) {
		close(asked)
		<-decide
		return "", nil
	}})
	p := dial(t, s.at)
	p.Says("hello\n")
	<-asked
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(decide)
	if _, err := io.ReadAll(p.R); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

// What is no client is not asked about.
func TestAdmitIsNotAskedAboutPages(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{Admit: func(v hubbub.Visitor) (string, error) {
		t.Errorf("it is asked about %+v", v)
		return "", nil
	}})
	for _, target := range []string{"/healthz", "/page.css", "/clients"} {
		if code, _ := s.get(target); code != http.StatusOK {
			t.Errorf("%s is answered with %d", target, code)
		}
	}
}
