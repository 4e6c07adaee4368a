package proto

import "fmt"

// Breach is how a peer broke the protocol, and the code to close with.
type Breach struct {
	Code   CloseCode
	Reason string
}

// Breachf returns a Breach with this reason.
func Breachf(code CloseCode, format string, args ...any) *Breach {
	return &Breach{code, fmt.Sprintf(format, args...)}
}

func (b *Breach) Error() string { return fmt.Sprintf("%s (%d)", b.Reason, b.Code) }

// Closed is a server's close frame.
type Closed struct {
	Code   CloseCode // CloseNoStatus if it gave none
	Reason string
}

func (c *Closed) Error() string {
	if c.Reason == "" {
		return fmt.Sprintf("the server closed the connection (%d)", c.Code)
	}
	return fmt.Sprintf("the server closed the connection: %s (%d)", c.Reason, c.Code)
}
