package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy distributes requests over the nodes, in turn. No page is tied to a node: its
// forms and its stream may be served by different ones. When a node dies, its pages
// lose a connection, and nothing else.
type proxy struct {
	nodes     []*upstream
	transport *http.Transport
	changes   *http.Transport // a new connection for each request; see send

	turn, streams atomic.Uint64 // counted apart: streams last, and should be spread evenly
}

// An upstream is a node as the proxy knows it.
type upstream struct {
	name, addr string
	up         atomic.Bool
}

var errNoNode = errors.New("there are no nodes")

func newProxy(nodes []*upstream) *proxy {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DialContext = (&net.Dialer{Timeout: time.Second}).DialContext
	transport.ResponseHeaderTimeout = 10 * time.Second // for a node that hangs
	transport.DisableCompression = true                // responses are passed on unchanged
	changes := transport.Clone()
	changes.DisableKeepAlives = true
	return &proxy{nodes: nodes, transport: transport, changes: changes}
}

// handler passes on requests, and each event at once.
func (p *proxy) handler() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetXForwarded() }, // the Host stays the same
		Transport:     p,
		FlushInterval: -1,
		ErrorHandler:  p.fail,
		ErrorLog:      log.New(io.Discard, "", 0), // streams that end with their node are not errors
	}
}

// RoundTrip sends the request to the next node that is up, and to another one if that
// node is dead.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	err := errNoNode
	for _, n := range p.order(r) {
		var resp *http.Response
		if resp, err = p.send(r, n); err == nil {
			return resp, nil
		}
		if r.Context().Err() != nil {
			break // the client is gone
		}
		n.up.Store(false)
		if !canRepeat(r, err) {
			break
		}
	}
	return nil, err
}

// send sends the request to a node. A request that changes something uses a new
// connection. A kept one could be closed by a node that is shutting down, and then it
// would be unknown whether the change was made; a new one is refused.
func (p *proxy) send(r *http.Request, n *upstream) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", n.addr
	if r.Body != nil {
		out.Body = io.NopCloser(r.Body) // not closed: the next node may need it
	}
	if r.Method == http.MethodGet {
		return p.transport.RoundTrip(out)
	}
	return p.changes.RoundTrip(out)
}

// order returns the nodes in the order in which to try them. Those that are down come
// last: they may be up by now.
func (p *proxy) order(r *http.Request) (order []*upstream) {
	turn := &p.turn
	if isStream(r) {
		turn = &p.streams
	}
	next := int(turn.Add(1)-1) % len(p.nodes)
	var down []*upstream
	for i := range p.nodes {
		if n := p.nodes[(next+i)%len(p.nodes)]; n.up.Load() {
			order = append(order, n)
		} else {
			down = append(down, n)
		}
	}
	return append(order, down...)
}

func isStream(r *http.Request) bool { return strings.HasPrefix(r.URL.Path+"/", "/events/") }

// canRepeat reports whether another node can be tried: if the node was not reached, or
// the request changes nothing. A node may have made a change and died before it
// answered.
func canRepeat(r *http.Request, err error) bool {
	var op *net.OpError
	return r.Method == http.MethodGet || errors.As(err, &op) && op.Op == "dial"
}

// fail answers if no node does. It aborts a stream, so that the page reconnects: after
// an error status, browsers do not reconnect.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	if isStream(r) {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, "No server can be reached: "+err.Error(), http.StatusBadGateway)
}

// check checks every 250 ms whether the nodes are ready, until ctx is done.
func (p *proxy) check(ctx context.Context) {
	var running sync.WaitGroup
	for _, n := range p.nodes {
		running.Go(func() {
			tick := time.NewTicker(250 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				n.up.Store(p.ready(ctx, n))
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	running.Wait()
}

func (p *proxy) ready(ctx context.Context, n *upstream) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/ready", nil)
	if err != nil {
		return false
	}
	resp, err := p.transport.RoundTrip(r)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusNoContent
}
