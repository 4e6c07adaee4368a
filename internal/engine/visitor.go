//go:build unix

package engine

// This file asks Options.Admit whether a visitor may be a client: for raw
// connections here, in a goroutine of their own; for all others package web asks,
// before it answers the request.

import (
	"fmt"
	"net/http"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/web"
)

// Visitor is a connection that may become a client.
type Visitor struct {
	Addr     string
	Protocol string
	Name     string
	Request  *http.Request
}

// admits asks about v. The visitor is told the error.
func (a *admission) admits(v Visitor) (name string, err error) {
	name, err = a.engine.o.Admit(v)
	if err != nil || name == "" {
		return v.Name, err
	}
	if _, err := proto.ParseName(name); err != nil {
		a.engine.log.Warnf("%s refused: Admit named it: %v", v.Addr, err)
		return "", err
	}
	return name, nil
}

// admitWeb asks about a visitor by HTTP.
func (g *gateway) admitWeb(p web.Peer, k web.Kind, r *http.Request, name string) (string, error) {
	protocol := codec.ProtocolPost
	if k != web.Post {
		protocol = protocolOf(k)
	}
	return g.engine.admits(Visitor{Addr: p.Addr, Protocol: protocol.String(), Name: name, Request: r})
}

// becomeRaw makes k a raw client, once Admit allows it, and reports whether it is
// one now.
func (p *pending) becomeRaw(k accept.Conn) (born bool) {
	if p.engine.o.Admit == nil {
		return p.shard.adopt(arrival{Arrival: k.Arrival()})
	}
	p.askAdmit(k)
	return false
}

// askAdmit calls Admit in a goroutine. It is not part of becomeRaw, where the
// goroutine would make every connection escape to the heap.
func (p *pending) askAdmit(k accept.Conn) {
	h := p.engine
	// Its events are ignored meanwhile; adding it again reports them again.
	_ = p.shard.Remove(int(k.FD))
	k.Watched = false
	p.asked++
	go func() {
		name, err := h.admits(Visitor{Addr: k.Addr.String(), Protocol: codec.ProtocolRaw.String()})
		if !p.shard.call(func() { p.admitted(k, name, err) }) {
			_ = sock.Close(int(k.FD))
		}
	}()
}

// admitted acts on what Admit decided about k.
func (p *pending) admitted(k accept.Conn, name string, err error) {
	p.asked--
	if err != nil {
		p.refuse(k, fmt.Sprintf("hubbub: refused: %v\n", err))
		return
	}
	a := arrival{Arrival: k.Arrival()}
	a.Name = name
	p.shard.adopt(a)
}
