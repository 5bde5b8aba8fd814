// Package memhttp connects HTTP clients and servers in memory, over HTTP/1.1
// or unencrypted HTTP/2. Nothing in it waits for the network, so that it works
// in a testing/synctest bubble, where time is fake.
package memhttp

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// A Listener accepts connections that its Dial makes.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	buffer int
}

// Listen returns a listener whose connections buffer so many bytes in each
// direction, as a socket does; a writer waits when the buffer is full.
func Listen(buffer int) *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{}), buffer: buffer}
}

// Accept returns the server's end of the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept and Dial fail. Connections live on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that says nothing.
func (l *Listener) Addr() net.Addr { return addr{} }

// Dial returns the client's end of a new connection.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	client, server := pipe(l.buffer, l)
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Transport returns a transport all of whose connections are made by Dial, with
// HTTP/2 alone or with HTTP/1.1 alone.
func (l *Listener) Transport(http2 bool) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) },
		Protocols:   Protocols(http2),
	}
}

// Protocols returns unencrypted HTTP/2 alone or HTTP/1.1 alone.
func Protocols(http2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	return p
}

type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "memory" }
