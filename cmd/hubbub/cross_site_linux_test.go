package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// This file is pages of other sites, in a real browser on a machine from which
// a server can be reached. See origin.go in internal/web.

// site returns one of those, under the names that its address has.
func site(t *testing.T) (origins []string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><link rel="icon" href="data:,"><title>a foreign page</title>`)
	}))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return []string{"http://127.0.0.1:" + port, "http://localhost:" + port}
}

// tries returns what a page there hears of a server when it has tried everything.
func tries(b *browser, origin, server string, allowed bool) (heard []string) {
	b.t.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", "foreign_page.js"))
	if err != nil {
		b.t.Fatal(err)
	}
	page := b.open(origin + "/")
	eval[bool](page, "(() => {"+string(script)+"})() ?? true")
	return eval[[]string](page, fmt.Sprintf(`foreignPage.all(%s, %v)`, quote(server), allowed))
}

// everyWay is what foreign_page.js says, sorted.
var everyWay = []string{
	"by WebSocket", "by a beacon", "by a blind post", "by a form=", "by an asked post", "by hubbub.v1",
}

// A page of another site, even of the same host, can neither receive messages nor
// send any, by any means that browsers have.
func TestPagesOfOtherSitesAreNeitherToldNorHeard(t *testing.T) {
	t.Parallel()
	b := browse(t)
	for _, flags := range [][]string{{"127.0.0.1:0"}, {"http://127.0.0.1:0"}, {"tcp://127.0.0.1:0"}, {"127.0.0.1:0", "--origin", "http://127.0.0.1:1"}} {
		p := startForBrowsers(t, append(flags, "--replay", "all")...)
		p.says("secret\n")
		_, server, found := strings.Cut(p.address(), "://")
		if !found {
			server = p.address()
		}
		for _, origin := range site(t) {
			if heard := tries(b, origin, server, false); len(heard) > 0 {
				t.Errorf("with %q a page of %s hears %q", flags, origin, heard)
			}
		}
		own := "own\n"
		if strings.HasPrefix(flags[0], "http:") {
			own = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n" + own
		}
		dial(t, server).Says(own)
		p.stdout.Is(t, "own\n")
	}
}

// A page of an allowed origin can do both.
func TestPagesOfAnAllowedOriginAreToldAndHeard(t *testing.T) {
	t.Parallel()
	b := browse(t)
	for _, origin := range site(t) {
		p := startForBrowsers(t, "127.0.0.1:0", "--replay", "all", "--origin", origin)
		p.says("for all\n")
		if heard := tries(b, origin, p.address(), true); !slices.Equal(heard, []string{"for all", "for all", "for all", "for all"}) {
			t.Errorf("a page of %s hears %q", origin, heard)
		}
		said := p.stdout.When(t, "all it says", func(said string, _ bool) bool { return strings.Count(said, "\n") >= len(everyWay) })
		lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
		slices.Sort(lines)
		if !slices.Equal(lines, everyWay) {
			t.Errorf("a page of %s says %q, want %q", origin, lines, everyWay)
		}
	}
}

// If an attacker's DNS points a name to this machine, the server refuses that host
// name, so the attacker's pages do not become ours.
func TestANameThatIsPointedHereIsNotOurs(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	b := browse(t, chromedp.Flag("host-resolver-rules", "MAP evil.example 127.0.0.1"))
	p := startForBrowsers(t, "127.0.0.1:0", "--replay", "all")
	p.says("secret\n")
	_, port, err := net.SplitHostPort(p.address())
	if err != nil {
		t.Fatal(err)
	}
	evil := "evil.example:" + port
	if heard := tries(b, "http://"+evil, evil, false); len(heard) > 0 {
		t.Errorf("%s hears %q", evil, heard)
	}
	for _, host := range []string{"evil.example", evil, "127.0.0.1.evil.example"} {
		c := launch{shell: `exec "$@"`, args: []string{"curl", "-sS", "-w", "%{http_code}", "-H", "Host: " + host, "-d", "evil", "http://" + p.address()}}.start(t)
		c.exits(0)
		if said := c.stdout.Ends(t); !strings.HasSuffix(said, "\n421") {
			t.Errorf("Host: %s is answered %q", host, said)
		}
	}
	c := dial(t, p.address())
	c.Says("own\n")
	p.stdout.Is(t, "own\n")

	ours := startForBrowsers(t, "127.0.0.1:0", "--replay", "all", "--host", "evil.example")
	ours.says("welcome\n")
	_, port, _ = strings.Cut(ours.address(), ":")
	page := b.open("http://evil.example:" + port)
	page.isLive()
	page.when(`hubbub.lastSeq === 1`)
}
