//go:build unix

package web

// This file reads what a request asks for: a representation from its headers (content
// negotiation, RFC 9110, section 12), the beginning and the client's name from its URL.

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

// representation is what GET / can return.
type representation uint8

const (
	asText representation = iota
	asEvents
	asPage
	asWebSocket
)

var sessionToken = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)

// negotiate returns what r asks for.
func negotiate(r *http.Request) representation {
	if r.Method == http.MethodGet && hasToken(r.Header, "Upgrade", "websocket") {
		return asWebSocket
	}
	return accepted(r.Header)
}

// accepted returns what Accept prefers. Events and the page must be requested by
// name: a client that accepts anything, like curl, gets text.
func accepted(h http.Header) representation {
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

// parse reads the parameters of a request for a stream of this kind.
func parse(r *http.Request, kind Kind) (Stream, error) {
	s := Stream{Kind: kind, Last: -1}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return s, fmt.Errorf("malformed parameters (%w); write NAME=VALUE&NAME=VALUE", err)
	}
	if s.Since = q.Get("since"); s.Since != "" {
		if _, err := proto.ParsePoint(s.Since); err != nil {
			return s, errors.New("since must be EPOCH-SEQ, such as h5x2q9tk-4711")
		}
	}
	// EventSource sends back what it got, so it is not checked here.
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		s.Since = id
	}
	if q.Has("last") {
		if s.Last, err = count(q.Get("last")); err != nil {
			return s, errors.New("last must be a number of messages, 0 or more")
		}
	}
	if name := strings.TrimSpace(q.Get("name")); name != "" {
		if s.Name, err = proto.ParseName(name); err != nil {
			return s, err
		}
	}
	s.Session = q.Get("session")
	return s, nil
}

// count parses a number from 0; a number that overflows becomes the largest.
func count(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt32, nil
	}
	return int(n), err
}
