//go:build unix

package web

// This file handles one request: checks it, finds its route and answers it.

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	retryAfter    = "5"    // seconds, sent when the server is full
	preflightLast = "7200" // seconds; the most that browsers cache
)

// request is one request being answered. It belongs to its goroutine.
type request struct {
	w http.ResponseWriter
	r *http.Request
	s *Server
	c *conn

	reading   bool // its body has been requested
	brokenOff bool // and net/http reads no more of it, though more may come
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	defer s.recovered(r)
	q := &request{w: w, r: r, s: s, c: r.Context().Value(connKey{}).(*conn)}
	if q.begin() {
		q.answer()
	}
}

// recovered logs a panic and closes the connection with http.ErrAbortHandler.
func (s *Server) recovered(r *http.Request) {
	err := recover()
	switch err {
	case nil:
		return
	case http.ErrAbortHandler:
	default:
		s.o.Logf("%.20s %.200q from %s: panic: %v\n%s", r.Method, r.URL.Path, r.RemoteAddr, err, debug.Stack())
	}
	panic(http.ErrAbortHandler)
}

// begin returns false if the server gave up the connection while its request
// arrived. The client will send it again, and it must not count twice.
func (q *request) begin() bool {
	q.c.requests++
	if strings.HasPrefix(q.r.UserAgent(), "Mozilla/") { // all browsers say so
		q.s.o.Browser(q.c.peer)
	}
	// The server does not wait for an unwanted body for ever.
	_ = q.c.SetReadDeadline(time.Now().Add(q.s.o.AnswerTimeout))
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	return !q.c.evicted
}

// answer checks the request, then routes it.
func (q *request) answer() {
	h := q.w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if q.c.lengths.ambiguous(q.r) {
		h.Set("Connection", "close")
	}
	code, why, listed := q.s.pages.check(q.r, q.c.peer.Unix, q.followsLink())
	if listed != "" {
		h.Set("Access-Control-Allow-Origin", listed)
		h.Add("Vary", "Origin")
	}
	switch {
	case code != 0:
		q.refuse(code, why)
	case q.r.Method == http.MethodOptions:
		q.options(listed != "")
	default:
		q.route()
	}
}

// followsLink reports whether a browser requests the page, as after a click on
// another site's link.
func (q *request) followsLink() bool {
	return q.r.Method == http.MethodGet && q.r.URL.Path == "/" && q.r.Header.Get("Sec-Fetch-Mode") == "navigate" && negotiate(q.r) == asPage
}

// methods returns the methods that a path allows; "" for an unknown path.
func methods(path string) string {
	switch {
	case path == "/", path == "*":
		return "GET, HEAD, POST, OPTIONS"
	case path == "/clients", path == "/healthz", page[path] != nil:
		return "GET, HEAD, OPTIONS"
	default:
		return ""
	}
}

// route calls the handler of the request's path.
func (q *request) route() {
	may := methods(q.r.URL.Path)
	switch {
	case may == "" || q.r.URL.Path == "*":
		q.refuse(http.StatusNotFound, "not found; available: /, /clients, /healthz")
	case !slices.Contains(strings.Split(may, ", "), q.r.Method):
		q.w.Header().Set("Allow", may)
		q.refuse(http.StatusMethodNotAllowed, "method not allowed; allowed: "+may)
	case q.r.Method != http.MethodPost && q.r.ContentLength != 0:
		q.refuse(http.StatusBadRequest, "only POST takes a body")
	case q.r.URL.Path == "/clients":
		q.clients()
	case q.r.URL.Path == "/healthz":
		report, well := q.s.o.Health()
		code := http.StatusOK
		if !well {
			code = http.StatusServiceUnavailable
		}
		q.json(code, report)
	case q.r.URL.Path != "/":
		q.file(page[q.r.URL.Path])
	case q.r.Method == http.MethodPost:
		q.post()
	default:
		q.root()
	}
}

// root handles GET / and HEAD /.
func (q *request) root() {
	q.w.Header().Add("Vary", "Accept")
	switch negotiate(q.r) {
	case asPage:
		q.file(page["/"])
	case asWebSocket:
		q.webSocket()
	case asEvents:
		q.stream(Events, "text/event-stream")
	case asText:
		q.stream(Text, q.s.o.TextType)
	}
}

// admitted reports whether the client is admitted; if not, it sends the answer.
func (q *request) admitted(s *Stream) bool {
	if q.s.o.Admit == nil {
		return true
	}
	name, err := q.s.o.Admit(q.c.peer, s.Kind, q.r, s.Name)
	if err != nil {
		q.refuse(http.StatusForbidden, err.Error())
		return false
	}
	s.Name = cmp.Or(name, s.Name)
	return true
}

// options lists the allowed methods, and answers a preflight request for an
// allowed origin.
func (q *request) options(listed bool) {
	may := methods(q.r.URL.Path)
	if may == "" {
		q.refuse(http.StatusNotFound, "not found")
		return
	}
	h := q.w.Header()
	h.Set("Allow", may)
	if listed && q.r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", may)
		h.Set("Access-Control-Allow-Headers", "Content-Type, Last-Event-ID, Cache-Control")
		h.Set("Access-Control-Max-Age", preflightLast)
		if q.r.Header.Get("Access-Control-Request-Private-Network") == "true" {
			h.Set("Access-Control-Allow-Private-Network", "true")
		}
	}
	if q.r.ContentLength != 0 {
		h.Set("Connection", "close")
		defer q.discardBody()
	}
	q.w.WriteHeader(http.StatusNoContent)
}

// clients lists the clients, for this machine only. Another site's page does not
// count as this machine, even if its browser runs here and --origin allows it.
func (q *request) clients() {
	if _, foreign := originOf(q.r); foreign {
		q.refuse(http.StatusForbidden, "/clients is not available to pages of another origin")
		return
	}
	if !q.c.peer.Local {
		q.refuse(http.StatusForbidden, "/clients is available from this machine only")
		return
	}
	if !q.r.ProtoAtLeast(1, 1) { // the version that proxies use if they add no header
		q.refuse(http.StatusForbidden, "/clients is available from this machine only, and an HTTP/1.0 request may come through a proxy")
		return
	}
	for _, key := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if len(q.r.Header.Values(key)) > 0 {
			q.refuse(http.StatusForbidden, "/clients is available from this machine only, and this request came through a proxy")
			return
		}
	}
	q.json(http.StatusOK, q.s.o.Clients())
}

func (q *request) json(code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		q.s.o.Logf("%s: %v", q.r.URL.Path, err)
		q.refuse(http.StatusInternalServerError, "internal error")
		return
	}
	q.w.Header().Set("Content-Type", "application/json")
	q.w.Header().Set("Cache-Control", "no-store")
	q.say(code, append(body, '\n'))
}

// refuse answers with an error. It reads the rest of a body for a moment: closing
// with unread input sends a reset, and a client that sends before it reads would
// lose the answer.
func (q *request) refuse(code int, why string) {
	h := q.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if code == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	if q.r.ContentLength != 0 {
		h.Set("Connection", "close")
	}
	q.s.o.Debugf("%.20q %.200q from %s: %d: %s", q.r.Method, q.r.URL.Path, q.r.RemoteAddr, code, why)
	q.say(code, []byte(why+"\n"))
	if q.r.ContentLength != 0 {
		q.discardBody()
	}
}

func (q *request) say(code int, body []byte) {
	q.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(code)
	_, _ = q.w.Write(body)
}

// discardBody reads the rest of a body for up to twice LingerTimeout. It
// needs no place for that.
func (q *request) discardBody() {
	_ = http.NewResponseController(q.w).Flush()
	q.s.leave(q.c)
	defer func() { _ = q.c.SetReadDeadline(past) }()
	if !q.reading && q.r.Header.Get("Expect") != "" {
		return // a client that waits for 100 Continue has not sent the body
	}
	rest := io.Reader(q.r.Body)
	if q.brokenOff {
		rest = q.c
	}
	waste := make([]byte, 16<<10)
	for end := time.Now().Add(2 * q.s.o.LingerTimeout); ; {
		next := time.Now().Add(q.s.o.LingerTimeout)
		if next.After(end) {
			next = end
		}
		_ = q.c.SetReadDeadline(next)
		if _, err := rest.Read(waste); err != nil {
			return
		}
	}
}

// busy answers a request when the server is full.
func (q *request) busy(err error) { q.refuse(http.StatusServiceUnavailable, fmt.Sprint(err)) }
