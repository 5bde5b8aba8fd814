package main

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"
)

// An endpoint is the URL of a stream and how to request it: the argument and the
// flags that tail, bench and doctor share.
type endpoint struct {
	URL string `arg:"" help:"The stream's URL. http:// may be omitted, and localhost before a port."`

	Headers    []string `short:"H" name:"header" sep:"none" placeholder:"NAME: VALUE" help:"Add a request header. May be repeated."`
	User       string   `short:"u" placeholder:"USER:PASSWORD" help:"Log in with HTTP Basic authentication."`
	Method     string   `short:"X" placeholder:"METHOD" help:"Request method (default: GET, or POST with --data)."`
	Data       string   `placeholder:"TEXT" help:"Request body: text, @FILE, or @- for standard input."`
	CACert     string   `name:"cacert" placeholder:"FILE" help:"Trust the certificates in this PEM file instead of the system's."`
	Cert       string   `placeholder:"FILE" help:"Client certificate, a PEM file."`
	Key        string   `placeholder:"FILE" help:"Private key of --cert (default: in the same file)."`
	Insecure   bool     `short:"k" help:"Do not verify TLS certificates."`
	UnixSocket string   `placeholder:"PATH" help:"Connect to this Unix socket instead of the URL's host."`
	Verbose    bool     `short:"v" help:"Print the heads of requests and responses on standard error, without passwords, cookies and keys."`
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// url returns the stream's URL, with the password if it has one.
func (e *endpoint) url() (*url.URL, error) {
	text := e.URL
	if !scheme.MatchString(text) {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, usage("%q is not a valid URL%s", maskInvalid(text), why(err, text))
	}
	if u.Hostname() == "" && u.Port() != "" {
		u.Host = "localhost" + u.Host
	}
	port, err := strconv.Atoi(cmp.Or(u.Port(), "1"))
	switch {
	case err != nil || port < 1 || port > 65535:
		return nil, usage("%q has an invalid port; it must be from 1 to 65535", redacted(u))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, usage("%q is not an http or https URL", redacted(u))
	case u.Hostname() == "" || strings.ContainsFunc(u.Host, unicode.IsSpace):
		return nil, usage("%q has no host; write it like https://example.org/events", redacted(u))
	}
	return u, nil
}

// why returns the reason for which a URL is invalid, unless it could contain a part
// of a password.
func why(err error, text string) string {
	if invalid, ok := err.(*url.Error); ok && !strings.Contains(text, "@") { //nolint:errorlint // Parse returns it as it is
		return ": " + invalid.Err.Error()
	}
	return ""
}

// maskInvalid masks all that may be a user or a password in text that is not a valid
// URL.
func maskInvalid(text string) string {
	i, j := strings.Index(text, "://")+len("://"), strings.LastIndex(text, "@")
	if j < i {
		return text
	}
	return text[:i] + "xxxxx" + text[j:]
}

// redacted returns the URL as it may be printed. A user without a password may be an
// access token.
func redacted(u *url.URL) string {
	if _, ok := u.User.Password(); u.User != nil && !ok {
		masked := *u
		masked.User = url.User("xxxxx")
		return masked.String()
	}
	return u.Redacted()
}

// header returns the request headers, with the user of u or of -u.
func (e *endpoint) header(u *url.URL) (http.Header, error) {
	h := make(http.Header)
	for i, line := range e.Headers {
		name, value, ok := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		switch {
		case !ok || name == "": // not printed, since it may be a secret
			return nil, usage("header %d has no name; write it like -H 'Name: value'", i+1)
		case !httpguts.ValidHeaderFieldName(name):
			return nil, usage("-H: %q is not a valid name of a header", name)
		case !httpguts.ValidHeaderFieldValue(value):
			return nil, usage("-H: the value of %s contains a control character", name)
		case name == "Content-Length" || name == "Transfer-Encoding" || name == "Trailer":
			return nil, usage("-H cannot set %s, which follows from the request body", name)
		}
		h.Add(name, strings.TrimSpace(value))
	}
	user, password, given := strings.Cut(e.User, ":")
	switch {
	case e.User != "" && !given:
		return nil, usage("-u has no password; write it like -u user:password")
	case e.User == "" && u.User != nil:
		user = u.User.Username()
		password, _ = u.User.Password()
		given = true
	}
	if given && h.Get("Authorization") == "" {
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	return h, nil
}

// credentials matches a user and a password in a URL.
var credentials = regexp.MustCompile(`([\w.~%+-]*):[^\s/@"']+@`)

// masked returns text with the passwords of all URLs masked.
func masked(text string) string { return credentials.ReplaceAllString(text, "$1:xxxxx@") }

// shellWord returns text as one word of a shell's command line.
func shellWord(text string) string {
	if !strings.ContainsAny(text, " !\"#$&'()*;<>?[\\]^`{|}~") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// printable returns text with control characters escaped, so that it is safe to
// print on a terminal. Newlines and tabs stay.
func printable(text string) string {
	if !strings.ContainsFunc(text, isEscaped) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isEscaped(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isEscaped(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
