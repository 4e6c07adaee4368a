//go:build unix

package web

// This file is the origin policy: what a web page may not do. A browser runs
// pages of other sites on machines that can reach this server, so:
//
//	Host             only known names: an attacker's DNS can point any other here
//	Origin           a page of another origin may connect only if it is listed
//	Sec-Fetch-Site   a cross-site request without an origin is allowed only if a
//	                 person follows a link to the page
//
// It decides from the request alone.

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// originPolicy says which pages may connect. It never changes.
type originPolicy struct {
	anyHost, anyOrigin bool
	hosts, origins     map[string]bool
}

func newOriginPolicy(hosts, origins []string) originPolicy {
	p := originPolicy{hosts: map[string]bool{"localhost": true}, origins: map[string]bool{}}
	for _, h := range hosts {
		p.anyHost = p.anyHost || h == "*"
		p.hosts[hostName(h)] = true
	}
	for _, o := range origins {
		if o == "*" {
			p.anyHost, p.anyOrigin = true, true
			continue
		}
		scheme, host := splitOrigin(o)
		p.origins[scheme+"://"+host] = true
		if name := hostName(host); name != "" { // "null" has none
			p.hosts[name] = true
		}
	}
	return p
}

// check returns the status that refuses r, and why; 0 if r is allowed. listed
// is another site's origin that is allowed.
func (p *originPolicy) check(r *http.Request, unix, link bool) (code int, why, listed string) {
	origin, foreign := originOf(r)
	scheme, host := splitOrigin(origin)
	if foreign && (p.anyOrigin || p.origins[scheme+"://"+host]) {
		listed = origin
	}
	switch {
	case unix:
	case !p.allowsHost(r):
		name := hostName(r.Host)
		return http.StatusMisdirectedRequest, fmt.Sprintf("unknown host %.200s: use the IP address, or start the server with --host %[1]s", name), listed
	case foreign && listed == "":
		return http.StatusForbidden, fmt.Sprintf("pages of origin %.200q cannot connect; --origin allows them", origin), ""
	case origin == "" && r.Header.Get("Sec-Fetch-Site") == "cross-site" && !link:
		return http.StatusForbidden, "pages of other sites cannot connect; --origin allows them", ""
	}
	return 0, "", listed
}

// originOf returns the origin of the page that r comes from, and whether it is
// another than ours; "": it comes from none.
func originOf(r *http.Request) (origin string, foreign bool) {
	// A browser sends one Origin; two never match.
	origin = strings.Join(r.Header.Values("Origin"), ", ")
	scheme, host := splitOrigin(origin)
	own := host != "" && host == withoutPort(normal(r.Host), defaultPort(scheme))
	return origin, origin != "" && !own
}

// allowsHost reports whether r names this server, or does not come from a browser. A
// request without a Host is no browser's: load balancers check health with
// HTTP/1.0. Nor is a WebSocket without an Origin (RFC 6455, section 4.1): join uses
// whatever name its user gave.
func (p *originPolicy) allowsHost(r *http.Request) bool {
	noBrowser := r.Host == "" && !r.ProtoAtLeast(1, 1) ||
		hasToken(r.Header, "Upgrade", "websocket") && len(r.Header.Values("Origin")) == 0
	if p.anyHost || noBrowser {
		return true
	}
	name := hostName(r.Host)
	_, err := netip.ParseAddr(name)
	return err == nil || p.hosts[name]
}

// splitOrigin returns the SCHEME and HOST[:PORT] of an origin, normalized: without
// the scheme's default port.
func splitOrigin(origin string) (scheme, host string) {
	scheme, host, _ = strings.Cut(strings.ToLower(origin), "://")
	return scheme, withoutPort(normal(host), defaultPort(scheme))
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return ":443"
	}
	return ":80"
}

func withoutPort(host, port string) string { return strings.TrimSuffix(host, port) }

// normal returns HOST[:PORT] in lower case, without a trailing dot.
func normal(host string) string {
	host = strings.ToLower(host)
	if name, port, found := strings.Cut(host, ":"); found && strings.HasSuffix(name, ".") {
		return strings.TrimSuffix(name, ".") + ":" + port
	}
	return strings.TrimSuffix(host, ".")
}

// hostName returns the name or the address of HOST[:PORT].
func hostName(host string) string {
	host = normal(host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		return strings.TrimSuffix(name, ".")
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	return host
}
