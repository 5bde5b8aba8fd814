//go:build !linux

package poll

import (
	"errors"
	"net"
	"time"
)

// Supported tells whether TCP connections can be detached.
const Supported = false

func detachTCP(*net.TCPConn, time.Duration) (Socket, Network, error) {
	return nil, nil, errors.ErrUnsupported
}

// SetUserTimeout does nothing on this system.
func SetUserTimeout(*net.TCPConn, time.Duration) error { return errors.ErrUnsupported }
