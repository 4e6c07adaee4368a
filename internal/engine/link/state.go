//go:build unix

package link

import (
	"encoding/binary"
	"errors"
)

// stateVersion is the first byte of a link's state.
const stateVersion = 1

// lasting are the flags of a connection. The others are of one loop.
const lasting = peerShut | hungUp | eof | shut | local

// AppendState appends what another process needs to continue the connection,
// besides the descriptor.
func (k *Link) AppendState(dst []byte) []byte {
	dst = append(dst, stateVersion)
	dst = binary.AppendUvarint(dst, uint64(k.Ready&lasting))
	dst = binary.AppendUvarint(dst, uint64(k.sent))
	dst = binary.AppendUvarint(dst, uint64(k.recv))
	if k.extra != nil {
		dst = append(dst, k.extra.input...)
	}
	return dst
}

var errState = errors.New("the state of a connection is malformed or of another version")

// Restore returns the link of fd with a state that AppendState wrote. It keeps no
// part of state.
func Restore(fd int, state []byte, now uint32) (Link, error) {
	if len(state) == 0 || state[0] != stateVersion {
		return Link{}, errState
	}
	state = state[1:]
	var numbers [3]uint64
	for i := range numbers {
		v, n := binary.Uvarint(state)
		if n <= 0 {
			return Link{}, errState
		}
		numbers[i], state = v, state[n:]
	}
	k := Link{
		fd: int32(fd), Ready: Ready(numbers[0])&lasting | readable | unsettled,
		sent: int64(numbers[1]), recv: int64(numbers[2]), sentAt: now, recvAt: now,
	}
	k.Restock(append([]byte(nil), state...))
	return k, nil
}
