package sock

import "golang.org/x/sys/unix"

const (
	soLinger    = unix.SO_LINGER_SEC // SO_LINGER itself counts clock ticks
	soLingerSec = unix.SO_LINGER_SEC
	soNoSigPipe = unix.SO_NOSIGPIPE
)
