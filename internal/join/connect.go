package join

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
)

// This file makes links, and detects the server's protocol with the first. The client
// sends a WebSocket handshake for hubbub.v1. The answer is
//
//	a WebSocket        hubbub.v1
//	other HTTP         an error: a page is no stream
//	silence            raw, on another connection
//	anything else      raw as well, but only after a second handshake
//
// A second one, because a hubbub that receives the handshake late (after --sniff,
// because a packet was lost) has begun to speak raw, or closes the connection. The
// protocol stays the same for all later connections: a server that is being restarted
// may answer anything.
//
// A server that is not hubbub and speaks raw takes the handshake for messages, and
// answers with its own. They are not printed, since they may answer the handshake.
// With tcp:// there is no handshake.

// protocol returns the protocol, as far as the options tell.
func (o Options) protocol() Protocol {
	if o.WebSocket == nil || o.Frame == framing.Raw {
		return RawOnly
	}
	if o.needsV1() && ProtocolAt(o.Address) == Whichever {
		return HubbubV1
	}
	return ProtocolAt(o.Address)
}

func (o Options) needsV1() bool { return o.Since != proto.Point{} || o.Last != nil || o.Name != "" }

// find makes the first link.
func (c *client) find(ctx context.Context) (link, error) {
	if c.protocol == RawOnly {
		return c.connectRaw(ctx)
	}
	l, err := c.ask(ctx)
	switch {
	case err == nil:
		c.protocol = HubbubV1
		return l, nil
	case c.protocol == HubbubV1, !speaksRaw(err), ctx.Err() != nil:
		return nil, c.explain(err)
	}
	raw, gone := c.connectRaw(ctx)
	if gone != nil {
		return nil, fmt.Errorf("%w; it answered a moment ago and may take one client only; use %s to skip detection", gone, c.rawForm())
	}
	c.protocol = RawOnly
	c.log.Warnf("%s does not speak hubbub.v1 (%s); using raw, where data in flight is lost if the connection breaks. Use %s to skip detection", c.Address, c.whyRaw(err), c.rawForm())
	return raw, nil
}

// ask tries hubbub.v1, twice if the first answer may be raw. If the second connection
// fails, the server has not answered.
func (c *client) ask(ctx context.Context) (*v1Link, error) {
	l, err := c.connectV1(ctx)
	if err == nil || !speaksRaw(err) || isSilence(err) || ctx.Err() != nil {
		return l, err
	}
	c.log.Debugf("%v; asking once more", err)
	l, second := c.connectV1(ctx)
	if second != nil && !errors.As(second, new(*notV1)) {
		return nil, err
	}
	return l, second
}

// connect makes another link.
func (c *client) connect(ctx context.Context) (link, error) {
	if c.protocol == RawOnly {
		return c.connectRaw(ctx)
	}
	l, err := c.connectV1(ctx)
	if err != nil {
		return nil, err
	}
	c.refused = ""
	return l, nil
}

func (c *client) connectRaw(ctx context.Context) (link, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.log.Debugf("connected to %s", remote(conn))
	return newRawLink(c, conn), nil
}

// explain adds to a server's answer what would be right.
func (c *client) explain(err error) error {
	switch {
	case ProtocolAt(c.Address) != Whichever:
	case c.needsV1() && speaksRaw(err):
		return fmt.Errorf("%w; --since, --last and --name need it", err)
	case !c.needsV1() && isHTTP(err) && !isHubbubs(err):
		return fmt.Errorf("%w; it speaks HTTP, but is no hubbub server; use %s to connect raw", err, c.rawForm())
	}
	return err
}

// rawForm returns the address for speaking raw.
func (c *client) rawForm() string {
	if c.Address.Path != "" {
		return "--frame raw"
	}
	return "tcp://" + c.Address.String()
}

func (c *client) whyRaw(err error) string {
	if isSilence(err) {
		return fmt.Sprintf("no answer in %v", c.AnswerIn)
	}
	return printable(cause(errors.Unwrap(err)))
}

// notV1 is why a connected server does not speak hubbub.v1.
type notV1 struct {
	address Address
	err     error
}

func (n *notV1) Error() string {
	return fmt.Sprintf("hubbub.v1 at %s: %s", n.address, printable(cause(n.err)))
}
func (n *notV1) Unwrap() error { return n.err }

// connectV1 makes a link of hubbub.v1.
func (c *client) connectV1(ctx context.Context) (*v1Link, error) {
	limit := time.Now().Add(c.ConnectTimeout)
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	if soon := time.Now().Add(c.AnswerIn); c.protocol == Whichever && soon.Before(limit) {
		limit = soon
	}
	_ = conn.SetDeadline(limit)
	unhurried := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	l, err := openV1(c, conn)
	if !unhurried() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, &notV1{c.Address, err}
	}
	_ = conn.SetDeadline(time.Time{})
	c.log.Debugf("connected to %s, which speaks hubbub.v1; client %s", remote(conn), l.hello.sender())
	return l, nil
}

// speaksRaw reports whether a server that failed with err may speak raw. It does not if
// there was no connection, if it answered in HTTP, or if the WebSocket was open.
func speaksRaw(err error) bool {
	return errors.As(err, new(*notV1)) && !errors.As(err, new(*helloError)) && !isHTTP(err)
}

// isSilence reports whether no answer came in time.
func isSilence(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isHTTP reports whether err is an answer of HTTP.
func isHTTP(err error) bool { return errors.As(err, new(answer)) }

// isHubbubs reports whether err is an HTTP answer of a hubbub.
func isHubbubs(err error) bool {
	var a answer
	hubbubs := []int{http.StatusForbidden, http.StatusMisdirectedRequest, http.StatusTooManyRequests, http.StatusServiceUnavailable}
	return errors.As(err, &a) && slices.Contains(hubbubs, a.Status())
}

type answer interface{ Status() int }
