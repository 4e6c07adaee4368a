//go:build dragonfly || freebsd || netbsd

package sock

import "golang.org/x/sys/unix"

const (
	soLinger    = unix.SO_LINGER
	soLingerSec = absent
	soNoSigPipe = unix.SO_NOSIGPIPE
)
