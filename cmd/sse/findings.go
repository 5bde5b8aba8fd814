package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"example.org/sse"
)

func short(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// findAnswer reports whether there is a stream to examine further.
func (x *examiner) findAnswer(d *diagnosis, o *observation) bool {
	names := x.proxies()
	if o.response == nil {
		switch {
		case o.timedOut && !o.connected && o.shook:
			d.add("answer", broken, fmt.Sprintf("the server did not finish the TLS handshake within %v", x.wait), "Check that the port speaks TLS, and that the server is not overloaded.")
		case o.timedOut && !o.connected:
			d.add("answer", broken, fmt.Sprintf("no connection within %v", x.wait), "Check the address; a firewall may drop the packets.")
		case o.timedOut:
			d.add("answer", broken, fmt.Sprintf("no response within %v, not even the head", x.wait), x.fixBuffering())
		default:
			f := x.failureOf(o.failure)
			d.add("answer", broken, f.what, f.fix)
		}
		if len(names) > 0 {
			d.add("proxies", fine, strings.Join(names, ", "), "")
		}
		return false
	}
	status, kind := o.response.Status, strings.Join(o.response.Header.Values("Content-Type"), ", ")
	if final := o.response.Request.URL; final.String() != x.target.url {
		d.add("redirect", minor, "to "+redacted(final), "Every reconnection is redirected again. Give clients this URL.")
	}
	switch {
	case o.response.StatusCode == http.StatusNoContent:
		d.add("answer", broken, status, "A 204 tells clients to stop reconnecting. If there are no events yet, answer 200 and keep the stream open.")
	case o.response.StatusCode == http.StatusBadRequest && x.speaksTLS():
		d.add("answer", broken, status+": "+speaksTLS, "Write https:// instead of http://.")
	case o.response.StatusCode != http.StatusOK:
		d.add("answer", broken, fmt.Sprintf("%s; the body begins with %.100q", status, o.start),
			"With any status except 200 a browser gives up for good, also when it reconnects. Check the path, and whether the stream needs credentials (-H 'Authorization: …').")
	case isStream(o.response) && isEncoded(o.response):
		d.add("answer", broken, fmt.Sprintf("%s with Content-Encoding %q, which was not asked for", status, o.meter.compression().Coding),
			"A client that has not asked for a coding fails, or takes the bytes for events. "+x.fixCompression(o.response.Header))
	case !isStream(o.response):
		d.add("answer", broken, fmt.Sprintf("%s with Content-Type %q; the body begins with %.100q", status, kind, o.start),
			"With any Content-Type except text/event-stream a browser gives up for good, and so does Chromium with a charset except utf-8. A page may come from a login, or from an application that answers every path.")
	default:
		d.add("answer", fine, fmt.Sprintf("%s, %s, after %s", status, kind, short(o.head)), "")
	}
	if len(names) > 0 {
		d.add("proxies", fine, strings.Join(names, ", "), "")
	}
	return isStream(o.response) && !isEncoded(o.response)
}

// isEncoded reports whether a response is in a coding that was not undone.
func isEncoded(r *http.Response) bool { return codingOf(r) != "" }

func findProtocol(d *diagnosis, o *observation) {
	if o.response.ProtoMajor >= 2 {
		d.add("protocol", fine, o.response.Proto, "")
		return
	}
	d.add("protocol", minor, o.response.Proto,
		"Over HTTP/1.1 a browser opens six connections to a host, shared by all tabs, and each stream takes one: the seventh page hangs. Serve HTTP/2, which browsers use over TLS.")
}

// findDelivery reports whether events arrive when they are sent.
func (x *examiner) findDelivery(d *diagnosis, o *observation) {
	fix := x.fixBuffering()
	i, b := o.buffered()
	switch c := o.meter.compression(); {
	case len(o.bursts) == 0:
		d.add("delivery", minor, fmt.Sprintf("the head arrived after %s, then no byte for %s", short(o.head), short(o.lasted-o.head)),
			"Firefox fires open only at the first byte: send a comment with the head. If the server did send something, it is being held back: "+fix)
	case c.Coding != "" && o.events+o.comments == 0 && o.timedOut:
		d.add("delivery", broken, fmt.Sprintf("%d compressed bytes that cannot be decoded yet", c.Sent),
			"The compressor does not flush after each event. "+x.fixCompression(o.response.Header))
	case i == 0:
		d.add("delivery", broken, fmt.Sprintf("nothing for %s, then %d events at once: something holds them back", short(b.after), b.events), fix)
	case i > 0:
		d.add("delivery", minor, fmt.Sprintf("%d events at once after %s of silence", b.events, short(b.after)),
			"If the server did not send them at once, something holds them back: "+fix)
	case o.head >= delayLimit:
		d.add("delivery", minor, fmt.Sprintf("the head arrived after %s, together with the first byte", short(o.head)),
			"Until then pages are in the state 'connecting'. "+fix)
	case o.firstByte() >= delayLimit:
		d.add("delivery", minor, fmt.Sprintf("the first byte arrived %s after the head", short(o.firstByte())),
			"Firefox fires open only at the first byte: send a comment with the head.")
	default:
		d.add("delivery", fine, fmt.Sprintf("at once: first byte %s after the head, %s in %s", short(o.firstByte()), plural(int64(o.events), "event"), short(o.lasted)), "")
	}
}

// findHeaders checks the headers that control proxies and caches.
func (x *examiner) findHeaders(d *diagnosis, o *observation) {
	h := o.response.Header
	x.findCompression(d, o)
	control := h.Get("Cache-Control")
	switch lower := strings.ToLower(control); {
	case control == "":
		d.add("caching", minor, "no Cache-Control", fixCaching)
	case !strings.Contains(lower, "no-cache") && !strings.Contains(lower, "no-store"):
		d.add("caching", minor, control, fixCaching)
	case !strings.Contains(lower, "no-transform"):
		d.add("caching", fine, control+"; no-transform would also stop proxies from compressing", "")
	default:
		d.add("caching", fine, control, "")
	}
	s := x.server()
	switch buffering := h.Get("X-Accel-Buffering"); {
	case strings.EqualFold(buffering, "no"):
		d.add("buffering", fine, "X-Accel-Buffering: no", "")
	case s != nil && s.passesOn != "":
		d.add("buffering", fine, s.passesOn, "")
	default:
		d.add("buffering", minor, "no X-Accel-Buffering", "If nginx is ever put in front of the server, it will buffer events. Send 'X-Accel-Buffering: no'.")
	}
}

// findCompression reports how the stream is compressed, and what that saves.
func (x *examiner) findCompression(d *diagnosis, o *observation) {
	const enough = 4 << 10 // bytes, to conclude that nothing is saved
	c, s := o.meter.compression(), x.server()
	switch {
	case c.Coding == "":
		d.add("compression", fine, "none", "")
	case c.Decoded == 0 || s != nil && s.compression != "" && !o.byGo && c.Coding == "gzip":
		d.add("compression", minor, c.Coding, "This works only if the server and every proxy flush after each event. "+x.fixCompression(o.response.Header))
	case c.saved() <= 0 && c.Decoded > enough:
		d.add("compression", minor, c.String(),
			"Compression is worth it for events that resemble those before. In Go, package sse compresses what is dispatched to a Set, and not what is dispatched to one client.")
	default:
		seen, fix := x.otherCoding(c.Coding)
		l := fine
		if fix != "" {
			l = minor
		}
		d.add("compression", l, c.String()+seen, fix)
	}
}

// otherCoding returns what the server does if it is offered the other coding alone.
func (x *examiner) otherCoding(coding string) (seen, fix string) {
	if x.target.accept != "" || !x.target.get() {
		return "", ""
	}
	other := "gzip"
	if coding == other {
		other = "zstd"
	}
	switch got := x.codingFor(other); {
	case got == other && other == "gzip":
		return "; clients without zstd get gzip", ""
	case got == other:
		return "; clients without gzip get zstd", "Clients that accept both get gzip. For pages of more than 32 KB, which its window does not hold, put zstd first."
	case other == "gzip":
		return "; clients without zstd get no compression", "WebKit, and browsers over plain HTTP, accept gzip and not zstd: offer both."
	}
	return "; no zstd", ""
}

// codingFor returns the coding of the stream for a client that accepts only that one.
func (x *examiner) codingFor(accept string) string {
	ctx, cancel := context.WithTimeout(x.ctx, min(x.wait, delayLimit))
	defer cancel()
	r, err := x.target.request(ctx, x.target.method)
	if err != nil {
		return ""
	}
	r.Header.Set("Accept-Encoding", accept)
	response, err := x.target.http.Do(r)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	return codingOf(response)
}

// findKeepAlive reports whether a silent stream stays open.
func findKeepAlive(d *diagnosis, o *observation, wait time.Duration) {
	const (
		limit  = 60 * time.Second // for silent connections, of nginx and AWS
		enough = 30 * time.Second // without a comment, to conclude that there is none
		fix    = "Most proxies close connections that are silent for 60 s (nginx, AWS), and a server notices a lost client only when it writes. Send a comment after 30 s without an event."
	)
	switch {
	case o.keepAlive > limit*3/4:
		d.add("keep-alive", minor, "a comment after "+short(o.keepAlive), fix)
	case o.keepAlive > 0:
		d.add("keep-alive", fine, "a comment after "+short(o.keepAlive)+" without an event", "")
	case o.timedOut && o.silence >= enough:
		d.add("keep-alive", minor, "none in "+short(o.silence)+" of silence", fix)
	case o.timedOut && o.silence >= wait/2:
		d.add("keep-alive", fine, "unknown: "+short(o.silence)+" of silence is too short to judge; use --wait 35s", "")
	default:
		d.add("keep-alive", fine, "not needed: the longest silence was "+short(o.silence), "")
	}
}

// findEnd reports how the stream ended, if it did.
func (x *examiner) findEnd(d *diagnosis, o *observation) {
	switch err := o.failure; {
	case err == nil || errors.Is(err, context.Canceled):
	case errors.Is(err, sse.ErrTooLarge):
		d.add("end", broken, err.Error(), "Clients limit the size of an event, and all later events wait for it. Send a URL instead, or several events.")
	case err == io.EOF && !x.target.get(): //nolint:errorlint // the regular end, and nothing that wraps it
		d.add("end", fine, "the server ended the stream after "+short(o.lasted), "")
	case err == io.EOF: //nolint:errorlint // the same
		d.add("end", minor, "the server ended the stream after "+short(o.lasted),
			"Clients reconnect and begin a new stream. If the stream is complete, send a final event on which the page closes its EventSource.")
	default:
		d.add("end", broken, fmt.Sprintf("the stream was cut off after %s: %s", short(o.lasted), failureOf(err).what),
			"Possible causes are a server's write timeout (Go: http.Server.WriteTimeout), a crash, or a proxy's limit for silent connections (nginx: proxy_read_timeout, HAProxy: timeout server). Raise the limit, or send comments more often.")
	}
}

// findHead checks the answer to HEAD.
func findHead(d *diagnosis, head answer) {
	if head.response == nil {
		d.add("HEAD", minor, "no answer within "+short(delayLimit), "Health checks and link previews use HEAD. Answer without a body.")
		return
	}
	d.add("HEAD", fine, head.response.Status, "")
}

// findOptions checks the answer to OPTIONS.
func findOptions(d *diagnosis, options answer) {
	switch {
	case options.response == nil:
		d.add("OPTIONS", minor, "no answer within "+short(delayLimit), "Browsers wait for the answer before some cross-origin requests. Answer 204, with CORS headers if other origins may read the stream.")
	case options.endless:
		d.add("OPTIONS", minor, options.response.Status+", with a body that does not end", "The answer is a stream that nobody reads and that stays open. Answer 204.")
	default:
		seen := options.response.Status
		if origin := options.response.Header.Get("Access-Control-Allow-Origin"); origin != "" {
			seen += ", pages of " + origin + " may read the stream"
		}
		d.add("OPTIONS", fine, seen, "")
	}
}
