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

// A proxy deals out requests to nodes, in turn. No page is tied to one: its forms
// and its stream may be served by different nodes, and all that it loses with a node
// is a connection.
type proxy struct {
	nodes     []*upstream
	transport *http.Transport
	changes   *http.Transport // each on a connection of its own, see send

	turn, streams atomic.Uint64 // streams are dealt out apart: each lasts, and is work
}

// An upstream is a node as the proxy sees it.
type upstream struct {
	name, addr string
	up         atomic.Bool
}

var errNoNode = errors.New("no node answers")

func newProxy(nodes []*upstream) *proxy {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DialContext = (&net.Dialer{Timeout: time.Second}).DialContext
	transport.ResponseHeaderTimeout = 10 * time.Second // of a node that hangs
	transport.DisableCompression = true                // what comes is passed on as it is
	changes := transport.Clone()
	changes.DisableKeepAlives = true
	return &proxy{nodes: nodes, transport: transport, changes: changes}
}

// handler passes requests on, and each event as soon as it comes.
func (p *proxy) handler() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetXForwarded() }, // and the Host stays
		Transport:     p,
		FlushInterval: -1,
		ErrorHandler:  p.fail,
		ErrorLog:      log.New(io.Discard, "", 0), // streams that break off with their node
	}
}

// RoundTrip has the next node that is up answer, or another, if that is dead.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	err := errNoNode
	for _, n := range p.order(r) {
		var resp *http.Response
		if resp, err = p.send(r, n); err == nil {
			return resp, nil
		}
		if r.Context().Err() != nil {
			break // the client has left
		}
		n.up.Store(false)
		if !again(r, err) {
			break
		}
	}
	return nil, err
}

// send has a node answer. A change goes over a new connection: on one that was kept,
// and that the node closes at this moment because it ends, nobody could tell whether
// the change was made; a new one is refused.
func (p *proxy) send(r *http.Request, n *upstream) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", n.addr
	if r.Body != nil {
		out.Body = io.NopCloser(r.Body) // for the next, if this one is not reached
	}
	if r.Method == http.MethodGet {
		return p.transport.RoundTrip(out)
	}
	return p.changes.RoundTrip(out)
}

// order returns the nodes in the order in which they are to be asked: those that
// are down last, since they may be up by now.
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

// again reports whether another node may be asked: if one was not reached, or the
// request changes nothing. A change may have been made, though the node has died
// before it could say so.
func again(r *http.Request, err error) bool {
	var op *net.OpError
	return r.Method == http.MethodGet || errors.As(err, &op) && op.Op == "dial"
}

// fail answers if no node does. A stream just breaks off, and its page tries again:
// to browsers an answer that is an error is the end.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	if isStream(r) {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, "The servers cannot be reached: "+err.Error(), http.StatusBadGateway)
}

// check asks all nodes again and again whether they are ready, until the context is
// done.
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
