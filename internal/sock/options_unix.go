//go:build unix

package sock

import (
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	solSocket  = unix.SOL_SOCKET
	ipProtoTCP = unix.IPPROTO_TCP

	soDebug     = unix.SO_DEBUG
	soReuseAddr = unix.SO_REUSEADDR
	soReusePort = unix.SO_REUSEPORT
	soKeepAlive = unix.SO_KEEPALIVE
	soDontRoute = unix.SO_DONTROUTE
	soBroadcast = unix.SO_BROADCAST
	soSndBuf    = unix.SO_SNDBUF
	soRcvBuf    = unix.SO_RCVBUF
	soSndTimeo  = unix.SO_SNDTIMEO
	soRcvTimeo  = unix.SO_RCVTIMEO
	soType      = unix.SO_TYPE
	soError     = unix.SO_ERROR
	tcpNoDelay  = unix.TCP_NODELAY

	reuseAddr = "1"
)

func (o Option) set(fd int, n int64) error {
	switch o.form {
	case formDuration:
		tv := unix.NsecToTimeval(n)
		return unix.SetsockoptTimeval(fd, o.level, o.number, &tv)
	case formLinger:
		l := &unix.Linger{}
		if n != lingerOff {
			l.Onoff, l.Linger = 1, int32(n)
		}
		return unix.SetsockoptLinger(fd, o.level, o.number, l)
	}
	return unix.SetsockoptInt(fd, o.level, o.number, int(n))
}

func (o Option) get(fd int) (string, error) {
	switch o.form {
	case formDuration:
		tv, err := unix.GetsockoptTimeval(fd, o.level, o.number)
		if err != nil {
			return "", err
		}
		return o.form.format(unix.TimevalToNsec(*tv)), nil
	case formLinger:
		l, err := unix.GetsockoptLinger(fd, o.level, o.number)
		if err != nil {
			return "", err
		}
		if l.Onoff == 0 {
			return o.form.format(lingerOff), nil
		}
		return o.form.format(int64(l.Linger)), nil
	}
	n, err := unix.GetsockoptInt(fd, o.level, o.number)
	if err != nil {
		return "", err
	}
	return o.describe(n), nil
}

// describe formats an int for a reader.
func (o Option) describe(n int) string {
	switch {
	case o.form == formFlag && n != 0:
		return "1" // the BSDs answer with the option's bit
	case o.form == formKind && n == unix.SOCK_STREAM:
		return "SOCK_STREAM"
	case o.form == formFailure && n != 0:
		return unix.Errno(n).Error()
	}
	return strconv.Itoa(n)
}
