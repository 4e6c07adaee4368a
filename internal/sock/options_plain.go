//go:build linux || openbsd

package sock

import "golang.org/x/sys/unix"

const (
	soLinger    = unix.SO_LINGER
	soLingerSec = absent
	soNoSigPipe = absent
)
