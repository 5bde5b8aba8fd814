//go:build !linux

package poll

import (
	"errors"
	"net"
	"time"
)

// Supported reports whether TCP connections can be detached.
const Supported = false

func detachTCP(*net.TCPConn, time.Duration) (Socket, Network, error) {
	return Socket{}, nil, errors.ErrUnsupported
}

func (s *Socket) write([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (s *Socket) discard(int) (int, error)  { return 0, errors.ErrUnsupported }
func (s *Socket) closeWrite() error         { return errors.ErrUnsupported }
func (s *Socket) close(bool) error          { return errors.ErrUnsupported }

func blocking(*net.TCPConn) bool { return false }

// SetUserTimeout does nothing on this system.
func SetUserTimeout(*net.TCPConn, time.Duration) error { return errors.ErrUnsupported }
