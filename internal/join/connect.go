package join

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// This file goes from an address to a link, and finds out on the first way
// what the server speaks. It is asked for hubbub.v1; one that does not answer
// as HTTP does, or not in time, or with what hubbub does not say, is a raw
// one, and gets another connection for that. What it spoke once it speaks
// until we end: a server that is being restarted may say anything.
//
// A server that speaks raw, and not hubbub, takes the question for messages.
// tcp:// does not ask.

// protocol is what is known before anybody was asked.
func (o Options) protocol() Protocol {
	if o.WebSocket == nil || o.Frame == Raw {
		return RawOnly
	}
	if o.needsV1() && o.Address.Protocol == Whichever {
		return HubbubV1
	}
	return o.Address.Protocol
}

func (o Options) needsV1() bool { return o.Since != Point{} || o.Last != nil || o.Name != "" }

// connect makes a link.
func (c *client) connect(ctx context.Context) (link, error) {
	asked := false
	if c.protocol != RawOnly {
		l, err := c.connectV1(ctx)
		if err == nil {
			c.protocol, c.refused = HubbubV1, ""
			return l, nil
		}
		if c.protocol == HubbubV1 && c.Address.Protocol == Whichever && c.needsV1() && speaksRaw(err) {
			err = fmt.Errorf("%w; --since, --last and --name need it", err)
		}
		if c.protocol == HubbubV1 || !speaksRaw(err) || ctx.Err() != nil {
			return nil, err
		}
		c.log.debug("%s does not speak hubbub.v1: %v", c.Address, err)
		asked = true
	}
	conn, err := c.dialer.dial(ctx)
	if err != nil && asked {
		return nil, fmt.Errorf("%w; it was there a moment ago, and may take one client only: with tcp://, or --frame raw, it is not asked first what it speaks", err)
	}
	if err != nil {
		return nil, err
	}
	c.protocol = RawOnly
	c.log.debug("connected to %s", remote(conn))
	return newRawLink(c, conn), nil
}

// notV1 is why hubbub.v1 cannot be spoken on a connection that could be made.
type notV1 struct {
	address Address
	err     error
}

func (n *notV1) Error() string {
	return fmt.Sprintf("hubbub.v1 at %s: %s", n.address, printable(cause(n.err)))
}
func (n *notV1) Unwrap() error { return n.err }

// connectV1 makes a link if the server speaks hubbub.v1.
func (c *client) connectV1(ctx context.Context) (*v1Link, error) {
	limit := time.Now().Add(c.ConnectTimeout)
	conn, err := c.dialer.dial(ctx)
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
	c.log.debug("connected to %s, which speaks hubbub.v1; client %d", remote(conn), l.id())
	return l, nil
}

// speaksRaw reports whether a server that failed to open hubbub.v1 so may
// speak raw. One that could not be connected to speaks nothing. A refusal that
// hubbub knows is its answer, and so is all that comes after the WebSocket was
// opened.
func speaksRaw(err error) bool {
	if !errors.As(err, new(*notV1)) || errors.As(err, new(*helloError)) {
		return false
	}
	switch status(err) {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMisdirectedRequest,
		http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return false
	}
	return true
}

// status is HTTP's, if that was the answer; else 0.
func status(err error) int {
	var s interface{ Status() int }
	if errors.As(err, &s) {
		return s.Status()
	}
	return 0
}

func isRefusal(err error) bool { return status(err) != 0 }
