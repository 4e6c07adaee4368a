package sock

import (
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	solSocket  = windows.SOL_SOCKET
	ipProtoTCP = windows.IPPROTO_TCP

	soDebug     = 0x0001
	soReuseAddr = windows.SO_REUSEADDR
	soReusePort = absent
	soKeepAlive = windows.SO_KEEPALIVE
	soDontRoute = windows.SO_DONTROUTE
	soBroadcast = windows.SO_BROADCAST
	soSndBuf    = windows.SO_SNDBUF
	soRcvBuf    = windows.SO_RCVBUF
	soSndTimeo  = windows.SO_SNDTIMEO
	soRcvTimeo  = windows.SO_RCVTIMEO
	soType      = 0x1008
	soError     = 0x1007
	soLinger    = windows.SO_LINGER
	soLingerSec = absent
	soNoSigPipe = absent
	tcpNoDelay  = windows.TCP_NODELAY

	reuseAddr = "" // here it would let anyone take a port in use
)

// winLinger is struct linger: half the width it has elsewhere.
type winLinger struct{ on, seconds uint16 }

func (o Option) set(fd int, n int64) error {
	switch o.form {
	case formDuration:
		n /= int64(time.Millisecond)
	case formLinger:
		l := winLinger{}
		if n != lingerOff {
			l = winLinger{1, uint16(n)}
		}
		return windows.Setsockopt(windows.Handle(fd), int32(o.level), int32(o.number), (*byte)(unsafe.Pointer(&l)), int32(unsafe.Sizeof(l)))
	}
	return windows.SetsockoptInt(windows.Handle(fd), o.level, o.number, int(n))
}

func (o Option) get(fd int) (string, error) {
	if o.form == formLinger {
		return o.getLinger(fd)
	}
	n, err := windows.GetsockoptInt(windows.Handle(fd), o.level, o.number)
	if err != nil {
		return "", err
	}
	switch {
	case o.form == formFlag:
		return strconv.Itoa(n & 0xff), nil // some of them answer with one byte
	case o.form == formDuration:
		return o.form.format(int64(n) * int64(time.Millisecond)), nil
	case o.form == formKind && n == windows.SOCK_STREAM:
		return "SOCK_STREAM", nil
	case o.form == formFailure && n != 0:
		return windows.Errno(n).Error(), nil
	}
	return strconv.Itoa(n), nil
}

func (o Option) getLinger(fd int) (string, error) {
	var l winLinger
	size := int32(unsafe.Sizeof(l))
	err := windows.Getsockopt(windows.Handle(fd), int32(o.level), int32(o.number), (*byte)(unsafe.Pointer(&l)), &size)
	if err != nil {
		return "", err
	}
	if l.on == 0 {
		return "off", nil
	}
	return strconv.Itoa(int(l.seconds)), nil
}
