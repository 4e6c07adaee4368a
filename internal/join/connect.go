package join

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
)

// This file goes from an address to a link, and finds out on the first way
// what the server speaks. It is asked for hubbub.v1, as a WebSocket is:
//
//	a WebSocket        hubbub.v1
//	HTTP otherwise     an error: a page is no stream
//	silence            raw, on another connection
//	anything else      the same, but not before it has been asked once more
//
// Once more, since a hubbub that the question reaches late (a packet was lost,
// longer than --sniff) has begun to speak raw, or ends the connection: to it
// that was a raw client's HTTP. What it spoke once a server speaks until we
// end: one that is being restarted may say anything.
//
// A server that speaks raw, and not hubbub, takes the question for messages,
// and says what it has to say to whoever asks: of that nothing is printed,
// since with it might come the answer to the question. tcp:// does not ask.

// protocol returns what is known before anybody was asked.
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

// ask asks for hubbub.v1, once more if need be. Nobody there the second time
// is no answer.
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

// explain adds to what a server answers what would be right.
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

// rawForm returns how to say that a server speaks raw.
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
	c.log.Debugf("connected to %s, which speaks hubbub.v1; client %d", remote(conn), l.id())
	return l, nil
}

// speaksRaw reports whether a server that failed to open hubbub.v1 so may
// speak raw. One that could not be connected to speaks nothing, one that
// answers in HTTP speaks that, and all that comes after the WebSocket was
// opened is no matter of what is spoken.
func speaksRaw(err error) bool {
	return errors.As(err, new(*notV1)) && !errors.As(err, new(*helloError)) && !isHTTP(err)
}

// isSilence reports whether no answer came in time.
func isSilence(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isHTTP reports whether err is an answer of HTTP.
func isHTTP(err error) bool { return errors.As(err, new(answer)) }

// isHubbubs reports whether err is an answer of HTTP that a hubbub gives.
func isHubbubs(err error) bool {
	var a answer
	if errors.As(err, &a) {
		switch a.Status() {
		case http.StatusForbidden, http.StatusMisdirectedRequest, http.StatusTooManyRequests, http.StatusServiceUnavailable:
			return true
		}
	}
	return false
}

type answer interface{ Status() int }
