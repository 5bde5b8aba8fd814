package poll

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Supported reports whether TCP connections can be detached.
const Supported = true

// TCP is the network of all TCP connections.
var TCP Network = tcp{}

type tcp struct{}

// detachTCP duplicates the descriptor and closes the connection, which takes it
// out of the runtime's poller. The kernel's connection lives on in the duplicate,
// which costs no more than that.
func detachTCP(c *net.TCPConn, userTimeout time.Duration) (Socket, Network, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Socket{}, nil, err
	}
	var fd uintptr
	var failed error
	err = raw.Control(func(old uintptr) {
		if failed = setUserTimeout(int(old), userTimeout); failed != nil {
			return
		}
		// The kernel would keep some 4 MiB for a client that reads nothing, of events
		// that are old by the time they are read; with this it keeps some 260 KiB.
		_ = syscall.SetsockoptInt(int(old), syscall.IPPROTO_TCP, tcpNotSentLowat, notSent)
		var e syscall.Errno
		if fd, _, e = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0); e != 0 {
			failed = os.NewSyscallError("fcntl", e)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return Socket{}, nil, err
	}
	_ = c.Close() // cannot fail: it has just been in use
	return Socket{fd: int32(fd)}, TCP, nil
}

// SetUserTimeout sets after what time without an acknowledgement a connection is
// taken for broken; 0 leaves that to the system, which waits for a quarter of an
// hour.
func SetUserTimeout(c *net.TCPConn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = setUserTimeout(int(fd), d) })
	return errors.Join(err, failed)
}

func blocking(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var flags uintptr
	err = raw.Control(func(fd uintptr) { flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0) })
	return err == nil && flags&syscall.O_NONBLOCK == 0
}

// These are missing in package syscall.
const (
	tcpUserTimeout  = 18
	tcpNotSentLowat = 25
)

// notSent is how many bytes a connection takes that it cannot send yet.
const notSent = 128 << 10

func setUserTimeout(fd int, d time.Duration) error {
	var ms time.Duration
	if d > 0 {
		ms = max(d/time.Millisecond, 1)
	}
	err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, tcpUserTimeout, int(min(ms, 1<<31-1)))
	if err == syscall.EOPNOTSUPP || err == syscall.ENOPROTOOPT {
		return nil // MPTCP does not have it: the system's own time holds
	}
	return os.NewSyscallError("setsockopt", err)
}

// The program may hold a copy of the descriptor, the connection's File, and make both
// blocking at any time, by its Fd. So each call asks not to wait.

func (s *Socket) write(p []byte) (n int, err error) {
	for {
		switch n, err := syscall.SendmsgN(int(s.fd), p, nil, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL); err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, os.NewSyscallError("sendmsg", err)
		}
	}
}

func (s *Socket) discard(most int) (n int, err error) {
	var buf [4096]byte
	for n < most {
		switch m, _, err := syscall.Recvfrom(int(s.fd), buf[:], syscall.MSG_DONTWAIT); err {
		case nil:
			if m == 0 {
				return n, io.EOF
			}
			n += m
			if m < len(buf) {
				return n, nil // emptied; more data is an event of its own
			}
		case syscall.EINTR:
		case syscall.EAGAIN:
			return n, nil
		default:
			return n, os.NewSyscallError("recvfrom", err)
		}
	}
	return n, nil
}

func (s *Socket) closeWrite() error {
	return os.NewSyscallError("shutdown", syscall.Shutdown(int(s.fd), syscall.SHUT_WR))
}

func (s *Socket) close(abort bool) error {
	if abort {
		_ = syscall.SetsockoptLinger(int(s.fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	}
	if s.epoll != 0 {
		// Closing does that, too, unless a child process is about to be started and
		// has a copy of the descriptor for a moment.
		_ = syscall.EpollCtl(int(s.epoll), syscall.EPOLL_CTL_DEL, int(s.fd), nil)
	}
	return os.NewSyscallError("close", syscall.Close(int(s.fd)))
}

// A poller is an epoll descriptor that is itself watched by the runtime's poller,
// so that a goroutine waits for it, and no thread.
type poller struct {
	fd          int32
	file        *os.File
	raw         syscall.RawConn
	events      []syscall.EpollEvent
	interrupted atomic.Bool
}

// NewPoller returns a new poller.
func (tcp) NewPoller() (Poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // so that package os polls it
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{fd: int32(fd), file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetDeadline(time.Time{}) // fails if it cannot be polled after all
	}
	if err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// edges are all events, each reported when it begins. (EPOLLET does not have the
// same sign everywhere.)
const edges = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31

func (p *poller) Add(s *Socket, token uint64) error {
	op := syscall.EPOLL_CTL_ADD
	if s.epoll != 0 {
		op = syscall.EPOLL_CTL_MOD
	}
	s.epoll = p.fd
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(int(p.fd), op, int(s.fd),
		&syscall.EpollEvent{Events: edges, Fd: int32(uint32(token)), Pad: int32(uint32(token >> 32))}))
}

func (p *poller) Wait(events []Event, until time.Time) (n int, err error) {
	if len(p.events) < len(events) {
		p.events = make([]syscall.EpollEvent, len(events))
	}
	if err := p.file.SetReadDeadline(until); err != nil {
		return 0, err
	}
	if p.interrupted.Swap(false) { // before the deadline was set
		return 0, nil
	}
	var failed error
	err = p.raw.Read(func(fd uintptr) bool {
		for {
			n, failed = syscall.EpollWait(int(fd), p.events[:len(events)], 0)
			if failed != syscall.EINTR {
				return n > 0 || failed != nil
			}
		}
	})
	if failed != nil {
		return 0, os.NewSyscallError("epoll_wait", failed)
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
		return 0, err
	}
	for i, e := range p.events[:n] {
		events[i] = Event{
			Token:    uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32,
			Readable: e.Events&syscall.EPOLLIN != 0,
			Writable: e.Events&syscall.EPOLLOUT != 0,
			Ended:    e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0,
		}
	}
	return n, nil
}

func (p *poller) Interrupt() {
	p.interrupted.Store(true)
	_ = p.file.SetReadDeadline(time.Unix(1, 0))
}

func (p *poller) Close() error { return p.file.Close() }
