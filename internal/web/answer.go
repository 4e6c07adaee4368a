//go:build unix

package web

// This file is one request: may it be answered, what is it, and who answers.

import (
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
	retryAfter    = "5"    // seconds, for who finds no room
	preflightLast = "7200" // seconds; what browsers keep at most
)

// request is one request while it is answered; its goroutine's.
type request struct {
	w http.ResponseWriter
	r *http.Request
	s *Server
	c *conn

	reading   bool // its body was asked for
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

// recovered says what went wrong in here, and ends the connection: net/http
// takes this panic for that.
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

// begin is false if the connection was given up while its request came: who
// sent it will send it anew, and must not be heard twice.
func (q *request) begin() bool {
	q.c.requests++
	if strings.HasPrefix(q.r.UserAgent(), "Mozilla/") { // all browsers say so
		q.s.o.Browser(q.c.peer)
	}
	// A body that nobody wants is not waited for for ever.
	_ = q.c.SetReadDeadline(time.Now().Add(q.s.o.AnswerTimeout))
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	return !q.c.evicted
}

// answer asks whether the request may be, then gives it to who answers it.
func (q *request) answer() {
	h := q.w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if q.c.lengths.ambiguous(q.r) {
		h.Set("Connection", "close")
	}
	code, why, listed := q.s.rules.judge(q.r, q.c.peer.Unix, q.followsLink())
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

// followsLink says that a person's browser asks for the page: what another
// site's link may lead to.
func (q *request) followsLink() bool {
	return q.r.Method == http.MethodGet && q.r.URL.Path == "/" && q.r.Header.Get("Sec-Fetch-Mode") == "navigate" && formOf(q.r) == asPage
}

// methods is what can be done with a path; "" if there is no such thing.
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

// route gives the request to who answers it.
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

// root is GET / and HEAD /.
func (q *request) root() {
	q.w.Header().Add("Vary", "Accept")
	switch formOf(q.r) {
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

// admitted asks whether the client may come, and tells it if not.
func (q *request) admitted(kind Kind, a *ask) bool {
	if q.s.o.Admit == nil {
		return true
	}
	name, err := q.s.o.Admit(q.c.peer, kind, q.r, a.name)
	if err != nil {
		q.refuse(http.StatusForbidden, err.Error())
		return false
	}
	if name != "" {
		a.name = name
	}
	return true
}

// options says what one can do, and answers a browser that asks for a page of
// an origin that may.
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
		defer q.seeOff()
	}
	q.w.WriteHeader(http.StatusNoContent)
}

// clients is for this machine only: it says who is there. Another site's page
// is not of this machine, though its browser is, and though --origin lets it
// come.
func (q *request) clients() {
	if _, foreign := originOf(q.r); foreign {
		q.refuse(http.StatusForbidden, "/clients is not available to pages of another origin")
		return
	}
	if !q.c.peer.Local {
		q.refuse(http.StatusForbidden, "/clients is available from this machine only")
		return
	}
	if !q.r.ProtoAtLeast(1, 1) { // so speak proxies that add no header
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

// refuse says why something is not done. The rest of a body that was sent all
// the same is read for a moment: closing on it would be a reset, and who
// sends first and reads then would not get the answer.
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
		q.seeOff()
	}
}

func (q *request) say(code int, body []byte) {
	q.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(code)
	_, _ = q.w.Write(body)
}

// seeOff reads the rest of a body, while it comes, for twice LingerTimeout. It
// needs no place for that.
func (q *request) seeOff() {
	_ = http.NewResponseController(q.w).Flush()
	q.s.leave(q.c)
	defer func() { _ = q.c.SetReadDeadline(past) }()
	if !q.reading && q.r.Header.Get("Expect") != "" {
		return // who waits to be asked for the body has not sent it
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

// busy is who finds no room.
func (q *request) busy(err error) { q.refuse(http.StatusServiceUnavailable, fmt.Sprint(err)) }
