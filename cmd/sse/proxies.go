package main

import (
	"net/http"
	"strings"
)

// A server is a server or proxy that the doctor knows. All advice was tried.
type server struct {
	words       []string // of which its Server header contains one, in lower case
	buffering   string   // how to turn its buffering off; "" if it does not buffer
	compression string   // how to turn its compression off
	passesOn    string   // what is to say if it does not buffer; "" if the headers say it
}

var servers = []*server{
	{
		words: []string{"nginx", "openresty"},
		buffering: "nginx buffers responses by default. Send the header 'X-Accel-Buffering: no' with the stream, " +
			"or set 'proxy_buffering off;' in its location block.",
		compression: "nginx compresses a type in its gzip_types whatever the headers say: take text/event-stream out, or set 'gzip off;' in the location block.",
		passesOn:    "nginx passes the stream on", // it removes X-Accel-Buffering
	},
	{
		words: []string{"lighttpd"},
		buffering: "lighttpd sends a response when it is complete, whatever the headers say. " +
			"Set 'server.stream-response-body = 1' in its configuration.",
		passesOn: "lighttpd passes the stream on",
	},
	{
		words: []string{"apache"},
		compression: "Apache's mod_deflate compresses whatever the headers say: set 'SetEnv no-gzip 1' in a <Location> block for the stream, " +
			"or do not name text/event-stream in AddOutputFilterByType.",
	},
}

const (
	fixBuffering = "The server may send nothing before the first event, or buffer its output: flush the head and a comment at once, and flush after each event. " +
		"Or a proxy may buffer: 'X-Accel-Buffering: no' (or 'proxy_buffering off;') turns that off in nginx, 'server.stream-response-body = 1' in lighttpd."
	fixCaching = "A cache may store or delay the stream. Send 'Cache-Control: no-cache, no-transform'."
)

// proxies returns the headers that identify servers and proxies.
func (x *examiner) proxies() (names []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	seen := make(map[string]bool)
	for _, h := range x.headers {
		for _, name := range []string{"Server", "Via", "X-Served-By", "X-Cache", "CF-Ray", "X-Amz-Cf-Id", "X-Envoy-Upstream-Service-Time"} {
			value := h.Get(name)
			if value == "" || seen[name] {
				continue
			}
			seen[name] = true
			names = append(names, name+": "+value)
		}
	}
	return names
}

// server returns the server or proxy that answered, or nil if the doctor does not know
// it.
func (x *examiner) server() *server {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, h := range x.headers {
		name := strings.ToLower(h.Get("Server"))
		for _, s := range servers {
			for _, word := range s.words {
				if strings.Contains(name, word) {
					return s
				}
			}
		}
	}
	return nil
}

// fixBuffering returns how to turn off what holds events back.
func (x *examiner) fixBuffering() string {
	if s := x.server(); s != nil && s.buffering != "" {
		return s.buffering
	}
	return fixBuffering
}

// fixCompression returns how to turn compression off, for a response with the given
// headers.
func (x *examiner) fixCompression(h http.Header) string {
	const server = "If the server compresses: do not compress streams."
	s := x.server()
	switch {
	case s != nil && s.compression != "":
		return s.compression
	case strings.Contains(strings.ToLower(h.Get("Cache-Control")), "no-transform"):
		return server + " If a proxy does, it ignores 'no-transform': exclude text/event-stream in its configuration."
	}
	return server + " If a proxy does, 'Cache-Control: no-cache, no-transform' stops some; for others exclude text/event-stream in their configuration."
}
