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

const (
	mendNginx = "nginx buffers what a server sends, unless told otherwise. Send the header 'X-Accel-Buffering: no' with the stream, " +
		"or set 'proxy_buffering off;' in its location block."
	mendHeld = "Either the server sends nothing before it has an event, or buffers: let it send and flush the head and a comment at once, and flush after each event. " +
		"Or a proxy holds the stream back: 'X-Accel-Buffering: no' tells nginx not to (as proxy_buffering off does there), 'Cache-Control: no-cache, no-transform' those that compress."
	mendCached = "A cache may keep the stream, or hold it back. Send 'Cache-Control: no-cache, no-transform'."
)

func short(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// answered reports whether there is a stream to tell more of.
func (v *visit) answered(d *diagnosis, l *look) bool {
	names, nginx := v.between()
	if l.response == nil {
		switch {
		case l.timedOut && nginx:
			d.add("answer", broken, fmt.Sprintf("nothing came in %v, not even the head", v.wait), mendNginx)
		case l.timedOut:
			d.add("answer", broken, fmt.Sprintf("nothing came in %v, not even the head", v.wait), mendHeld)
		default:
			d.add("answer", broken, failure(l.failure), "Is the server running, and the URL right?")
		}
		if len(names) > 0 {
			d.add("between", fine, strings.Join(names, ", "), "")
		}
		return false
	}
	status, kind := l.response.Status, l.response.Header.Get("Content-Type")
	if final := l.response.Request.URL.String(); final != v.url {
		d.add("redirect", minor, "to "+final, "Each reconnection takes the detour. Give clients this URL.")
	}
	switch {
	case l.response.StatusCode == http.StatusNoContent:
		d.add("answer", broken, status, "By a 204 a server says that a client shall never come back. For a stream without events yet answer 200, and keep it open.")
	case l.response.StatusCode != http.StatusOK:
		d.add("answer", broken, fmt.Sprintf("%s; the body begins %.100q", status, l.start),
			"A browser gives up for good at any status but 200, also when it reconnects. Is the path right, does the stream need credentials (-H 'Authorization: …')?")
	case !isStreamType(l.response.Header):
		d.add("answer", broken, fmt.Sprintf("%s with Content-Type %q; the body begins %.100q", status, kind, l.start),
			"A stream has the Content-Type text/event-stream; browsers give up for good at another. A page may be that of a login, or an application that answers every path.")
	default:
		d.add("answer", fine, fmt.Sprintf("%s, %s, after %s", status, kind, short(l.head)), "")
	}
	if len(names) > 0 {
		d.add("between", fine, strings.Join(names, ", "), "")
	}
	return streams200(l.response)
}

// failure returns an error in words without what the reader knows: the URL.
func failure(err error) string {
	for inner := errors.Unwrap(err); inner != nil && strings.HasPrefix(err.Error(), "Get "); inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

func (v *visit) protocol(d *diagnosis, l *look) {
	if l.response.ProtoMajor >= 2 {
		d.add("protocol", fine, l.response.Proto, "")
		return
	}
	d.add("protocol", minor, l.response.Proto,
		"Over it a browser opens six connections to a host, over all of its tabs, and each stream takes one: the seventh page hangs. Serve HTTP/2, which browsers speak over TLS.")
}

// delivered tells whether events arrive when they are sent.
func (v *visit) delivered(d *diagnosis, l *look) {
	_, nginx := v.between()
	mend := mendHeld
	if nginx {
		mend = mendNginx
	}
	i, b := l.held()
	switch encoded := l.response.Header.Get("Content-Encoding"); {
	case len(l.bursts) == 0:
		d.add("delivery", minor, fmt.Sprintf("the head came after %s, and then no byte in %s", short(l.head), short(l.lasted-l.head)),
			"Firefox fires open at the first byte only: send a comment with the head. If the server did send something, this holds it back: "+mend)
	case encoded != "" && l.events+l.comments == 0 && l.timedOut:
		d.add("delivery", broken, fmt.Sprintf("%d bytes, compressed, of which nothing can be read", l.bytes),
			"What compresses does not flush after each event. Leave streams uncompressed: 'Cache-Control: no-cache, no-transform' tells proxies so.")
	case i == 0:
		d.add("delivery", broken, fmt.Sprintf("nothing came for %s, and then %d events at once: something holds them back", short(b.after), b.events), mend)
	case i > 0:
		d.add("delivery", minor, fmt.Sprintf("%d events came at once after %s of silence", b.events, short(b.after)),
			"If the server did not send them at once, something holds them back: "+mend)
	case l.head >= patience:
		d.add("delivery", minor, fmt.Sprintf("the head came after %s, and the first byte with it", short(l.head)),
			"Until then pages show 'connecting'. "+mend)
	case l.firstByte() >= patience:
		d.add("delivery", minor, fmt.Sprintf("the first byte came %s after the head", short(l.firstByte())),
			"Firefox fires open at the first byte only: send a comment with the head.")
	default:
		d.add("delivery", fine, fmt.Sprintf("at once: first byte %s after the head; %s in %s", short(l.firstByte()), plural(int64(l.events), "event"), short(l.lasted)), "")
	}
}

// hints tells what the headers say to those between.
func (v *visit) hints(d *diagnosis, l *look) {
	h := l.response.Header
	if encoding := h.Get("Content-Encoding"); encoding != "" {
		d.add("compression", minor, encoding, "It works as long as each event is flushed, on all of the way; 'Cache-Control: no-transform' keeps proxies from it.")
	} else {
		d.add("compression", fine, "none", "")
	}
	control := h.Get("Cache-Control")
	switch lower := strings.ToLower(control); {
	case control == "":
		d.add("caching", minor, "no Cache-Control", mendCached)
	case !strings.Contains(lower, "no-cache") && !strings.Contains(lower, "no-store"):
		d.add("caching", minor, control, mendCached)
	case !strings.Contains(lower, "no-transform"):
		d.add("caching", fine, control+"; with no-transform, proxies would not compress it", "")
	default:
		d.add("caching", fine, control, "")
	}
	_, nginx := v.between()
	switch buffering := h.Get("X-Accel-Buffering"); {
	case strings.EqualFold(buffering, "no"):
		d.add("buffering", fine, "X-Accel-Buffering: no", "")
	case nginx: // which takes the header out
		d.add("buffering", fine, "nginx passes the stream on", "")
	default:
		d.add("buffering", minor, "no X-Accel-Buffering", "Should nginx ever stand before the server, it would hold events back. Send 'X-Accel-Buffering: no'.")
	}
}

// keptAlive tells whether a silent stream lives.
func keptAlive(d *diagnosis, l *look, wait time.Duration) {
	const limit, enough = 60 * time.Second, 30 * time.Second // nginx's and AWS's; what a wait must be to tell
	const mend = "Proxies end connections that are silent, after 60 s as a rule (nginx, AWS), and a client that has gone is noticed by writing alone. Send a comment after 30 s without an event."
	switch {
	case l.keepAlive > limit*3/4:
		d.add("keep-alive", minor, "a comment after "+short(l.keepAlive), mend)
	case l.keepAlive > 0:
		d.add("keep-alive", fine, "a comment after "+short(l.keepAlive)+" without an event", "")
	case l.timedOut && l.silence >= enough:
		d.add("keep-alive", minor, "none in "+short(l.silence)+" of silence", mend)
	case l.timedOut && l.silence >= wait/2:
		d.add("keep-alive", fine, "unknown: "+short(l.silence)+" of silence is too short to tell; --wait 35s is not", "")
	default:
		d.add("keep-alive", fine, "none was needed: the longest silence was "+short(l.silence), "")
	}
}

// ended tells how the stream ended, if it did.
func ended(d *diagnosis, l *look) {
	switch err := l.failure; {
	case err == nil || errors.Is(err, context.Canceled):
	case errors.Is(err, sse.ErrTooLarge):
		d.add("end", broken, err.Error(), "Clients do not take events of any size, and all that follow wait for it. Send a URL instead, or several events.")
	case err == io.EOF: //nolint:errorlint // the regular end, and nothing that wraps it
		d.add("end", minor, "the server ended the stream after "+short(l.lasted),
			"Clients come back and begin a new one. If it is complete, say so by an event, at which the page closes its EventSource.")
	default:
		d.add("end", broken, fmt.Sprintf("the stream was cut off after %s: %v", short(l.lasted), err),
			"So do a server's write timeout (Go: http.Server.WriteTimeout), a crash, and a proxy's limit for silent connections (nginx: proxy_read_timeout, HAProxy: timeout server). Raise it, or send comments more often.")
	}
}

// methods tells how other methods than GET are answered.
func methods(d *diagnosis, head, options answer) {
	switch {
	case head.response == nil:
		d.add("HEAD", minor, "no answer in "+short(patience), "Health checks and link previews ask so. Answer with the head alone.")
	default:
		d.add("HEAD", fine, head.response.Status, "")
	}
	switch {
	case options.response == nil:
		d.add("OPTIONS", minor, "no answer in "+short(patience), "Browsers ask so before some cross-origin requests, and wait. Answer 204, with CORS headers if other origins may read the stream.")
	case options.endless:
		d.add("OPTIONS", minor, options.response.Status+", and a body that does not end", "It is answered with a stream, which nobody reads, and which stays open. Answer 204.")
	default:
		saw := options.response.Status
		if origin := options.response.Header.Get("Access-Control-Allow-Origin"); origin != "" {
			saw += ", pages of " + origin + " may read the stream"
		}
		d.add("OPTIONS", fine, saw, "")
	}
}
