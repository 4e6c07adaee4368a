//go:build unix

package engine

// This file asks the caller whether somebody may be a client, if the caller
// wants to be asked: raw connections here, in a goroutine of their own; all
// others by package web, before it answers their request.

import (
	"fmt"
	"net/http"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/web"
)

// Visitor is somebody who wants to be a client.
type Visitor struct {
	Addr     string
	Protocol string
	Name     string
	Request  *http.Request
}

// admits asks about v. The error is told to the visitor.
func (h *Engine) admits(v Visitor) (name string, err error) {
	name, err = h.o.Admit(v)
	if err != nil || name == "" {
		return v.Name, err
	}
	if _, err := proto.ParseName(name); err != nil {
		h.log.Warnf("%s refused: Admit named it: %v", v.Addr, err)
		return "", err
	}
	return name, nil
}

// admitWeb asks about a visitor by HTTP.
func (h *Engine) admitWeb(p web.Peer, k web.Kind, r *http.Request, name string) (string, error) {
	protocol := codec.ProtocolPost
	if k != web.Post {
		protocol = protocolOf(k)
	}
	return h.admits(Visitor{Addr: p.Addr, Protocol: protocol.String(), Name: name, Request: r})
}

// becomeRaw makes k a raw client, once the caller has admitted it. It reports
// whether it is one now.
func (l *shard) becomeRaw(k accept.Conn) (born bool) {
	if l.engine.o.Admit == nil {
		return l.adopt(arrival{Arrival: k.Arrival()})
	}
	l.askAdmit(k)
	return false
}

// askAdmit asks the caller about k in a goroutine. It is apart from becomeRaw,
// or every connection would be copied for the goroutine that few need.
func (l *shard) askAdmit(k accept.Conn) {
	h := l.engine
	// Nobody looks at its events meanwhile. Added anew, it tells them again.
	_ = l.Remove(int(k.FD))
	k.Watched = false
	l.asked++
	go func() {
		name, err := h.admits(Visitor{Addr: k.Addr.String(), Protocol: codec.ProtocolRaw.String()})
		select {
		case <-h.closed:
			_ = sock.Close(int(k.FD))
			return
		default:
		}
		l.Do(func() { l.admitted(k, name, err) })
	}()
}

// admitted is k about which the caller has been asked.
func (l *shard) admitted(k accept.Conn, name string, err error) {
	l.asked--
	if err != nil {
		l.refuse(k, fmt.Sprintf("hubbub: refused: %v\n", err))
		return
	}
	a := arrival{Arrival: k.Arrival()}
	a.Name = name
	l.adopt(a)
}
