//go:build linux

package subject

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// A loop is the bare limit: one write(2) for each event and client, one after the
// other, and nothing else. It never waits; it disconnects a client whose socket is full.
type loop struct {
	listener net.Listener
	mu       sync.Mutex
	clients  []int // descriptors
}

func startLoop(l net.Listener) (Server, error) {
	s := &loop{listener: l}
	go s.accept()
	return s, nil
}

func (s *loop) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // Shutdown has closed the listener
		}
		go s.greet(conn)
	}
}

// greet answers the request and keeps only a descriptor of the connection, whose
// writes do not block.
func (s *loop) greet(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // its duplicate lives on
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	if _, err := conn.Write([]byte(head)); err != nil {
		return
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // fails if the connection is closed, which it is not
		if fd, err := syscall.Dup(int(fd)); err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.clients = append(s.clients, fd)
		}
	})
}

// Dispatch implements [Server].
func (s *loop) Dispatch(data string) error {
	s.write(fmt.Appendf(nil, "%x\r\ndata: %s\n\n\r\n", len("data: ")+len(data)+len("\n\n"), data))
	return nil
}

func (s *loop) write(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.clients[:0]
	for _, fd := range s.clients {
		if n, err := syscall.Write(fd, b); err == nil && n == len(b) {
			kept = append(kept, fd)
		} else {
			syscall.Close(fd) //nolint:errcheck // nothing is left to do for it
		}
	}
	s.clients = kept
}

// Shutdown implements [Server].
func (s *loop) Shutdown(context.Context) error {
	err := s.listener.Close()
	s.write([]byte("0\r\n\r\n"))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range s.clients {
		syscall.Close(fd) //nolint:errcheck // nothing is left to do for it
	}
	s.clients = nil
	return err
}
