//go:build unix

package web

// This file parses what a request asks for: the kind of stream from its headers,
// its beginning and the client's name from its URL.

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hubbub.example/internal/proto"
)

// form is what GET / can return.
type form uint8

const (
	asText form = iota
	asEvents
	asPage
	asWebSocket
)

var sessionToken = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)

// formOf returns what r asks for.
func formOf(r *http.Request) form {
	if r.Method == http.MethodGet && hasToken(r.Header, "Upgrade", "websocket") {
		return asWebSocket
	}
	return accepted(r.Header)
}

// accepted returns what Accept prefers. Events and the page must be requested by
// name: a client that accepts anything, like curl, gets text.
func accepted(h http.Header) form {
	var events, page, text float64
	for t, q := range mediaRanges(h) {
		switch t {
		case "text/event-stream":
			events = max(events, q)
		case "text/html", "application/xhtml+xml":
			page = max(page, q)
		case "text/plain", "application/octet-stream", "text/*", "application/*", "*/*":
			text = max(text, q)
		}
	}
	switch {
	case events > 0 && events >= page && events >= text:
		return asEvents
	case page > 0 && page >= text:
		return asPage
	default:
		return asText
	}
}

// mediaRanges returns the types in Accept with their weights.
func mediaRanges(h http.Header) map[string]float64 {
	ranges := map[string]float64{}
	for _, part := range tokens(h, "Accept") {
		t, parameters, _ := strings.Cut(part, ";")
		q := 1.0
		for parameter := range strings.SplitSeq(parameters, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
			if strings.EqualFold(name, "q") {
				q = weight(value)
			}
		}
		t = strings.ToLower(strings.TrimSpace(t))
		ranges[t] = max(ranges[t], q)
	}
	return ranges
}

// weight parses a number from 0 to 1; anything else counts as 1.
func weight(s string) float64 {
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 1
	}
	return q
}

// tokens splits a header's list.
func tokens(h http.Header, key string) []string {
	list := strings.Split(strings.Join(h.Values(key), ","), ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// hasToken reports whether a header's list has token, in any case.
func hasToken(h http.Header, key, token string) bool {
	return slices.ContainsFunc(tokens(h, key), func(t string) bool { return strings.EqualFold(t, token) })
}

// ask is the parsed parameters.
type ask struct {
	since   string
	last    int
	name    string
	session string
}

// parse reads the parameters of r.
func parse(r *http.Request) (ask, error) {
	a := ask{last: -1}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return a, fmt.Errorf("malformed parameters (%w); write NAME=VALUE&NAME=VALUE", err)
	}
	if a.since = q.Get("since"); a.since != "" {
		if _, err := proto.ParsePoint(a.since); err != nil {
			return a, errors.New("since must be EPOCH-SEQ, such as h5x2q9tk-4711")
		}
	}
	// EventSource sends back what it got, so it is not checked here.
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		a.since = id
	}
	if q.Has("last") {
		if a.last, err = count(q.Get("last")); err != nil {
			return a, errors.New("last must be a number of messages, 0 or more")
		}
	}
	if name := strings.TrimSpace(q.Get("name")); name != "" {
		if a.name, err = proto.ParseName(name); err != nil {
			return a, err
		}
	}
	a.session = q.Get("session")
	return a, nil
}

// count parses a number from 0; a number that overflows becomes the largest.
func count(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt32, nil
	}
	return int(n), err
}
