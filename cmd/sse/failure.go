package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"

	"example.org/sse"
)

// A failure is why a request or a stream failed, in words, and what to do about it.
type failure struct{ what, fix string }

// failureOf describes an error of net/http or sse.Client.
func failureOf(err error) failure {
	var proxy string
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "proxyconnect" || op.Op == "socks connect") {
		proxy = "the proxy: "
	}
	for _, describe := range []func(error) failure{ofCertificate, ofTLS, ofNetwork, ofTimeout, ofStream} {
		if f := describe(err); f.what != "" {
			return failure{proxy + f.what, f.fix}
		}
	}
	return failure{proxy + plain(err), "Check that the server is running and the URL is right."}
}

// ofCertificate describes a certificate that was not accepted.
func ofCertificate(err error) failure {
	const fix = "Browsers refuse the stream too. "
	invalid, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(invalid.UnverifiedCertificates) == 0 {
		return failure{}
	}
	cert := invalid.UnverifiedCertificates[0]
	name := strings.Join(names(cert), ", ")
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return failure{fmt.Sprintf("the server's certificate is for %s, not for %s", name, host.Host), fix + "Use a name that the certificate has, or get a certificate for this one."}
	}
	if reason, ok := errors.AsType[x509.CertificateInvalidError](err); ok && reason.Reason == x509.Expired {
		return failure{fmt.Sprintf("the server's certificate has expired, or is not valid yet: it is valid from %s to %s", cert.NotBefore.Format("2006-01-02"), cert.NotAfter.Format("2006-01-02")),
			fix + "Renew the certificate, and check the clock of this machine."}
	}
	const trust = "--cacert FILE trusts it, or its authority; -k trusts any certificate."
	if cert.Issuer.String() == cert.Subject.String() {
		return failure{fmt.Sprintf("the server's certificate, for %s, is self-signed", name), fix + trust}
	}
	return failure{fmt.Sprintf("the server's certificate, for %s, is from an unknown authority, %q", name, cert.Issuer.CommonName),
		fix + "If the authority is a public one, the server has to send the intermediate certificates as well. " + trust}
}

// names returns the names that a certificate is for.
func names(cert *x509.Certificate) []string {
	all := cert.DNSNames
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		all = append(all, cert.Subject.CommonName)
	}
	return all
}

// ofTLS describes a disagreement about TLS.
func ofTLS(err error) failure {
	text := err.Error()
	_, garbage := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return failure{"the port speaks plain HTTP, not TLS", "Write http:// instead of https://."}
	case garbage:
		return failure{"the port does not speak TLS", "Check the port, or write http:// instead of https://."}
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // a TLS alert
		return failure{speaksTLS, "Write https:// instead of http://."}
	case strings.Contains(text, "malformed HTTP response"):
		return failure{"what listens there does not answer in HTTP/1.1", "Check the port."}
	case strings.Contains(text, "tls: certificate required"), strings.Contains(text, "tls: bad certificate"):
		return failure{"the server wants a client certificate", "Give one with --cert and --key."}
	case strings.Contains(text, "TLS handshake timeout"):
		return failure{"the server did not finish the TLS handshake", "Check that the port speaks TLS, and that the server is not overloaded."}
	case strings.Contains(text, "remote error: tls: "):
		_, alert, _ := strings.Cut(text, "remote error: tls: ")
		return failure{"the server refused the TLS handshake: " + alert, "Its certificate may be for another host name."}
	}
	return failure{}
}

const speaksTLS = "the port speaks TLS, not plain HTTP"

// ofNetwork describes why there is no connection.
func ofNetwork(err error) failure {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return failure{fmt.Sprintf("the host name %s is unknown", dns.Name), "Check its spelling, and the name server's records."}
		}
		return failure{fmt.Sprintf("the name server did not answer for %s", dns.Name), "Check the network of this machine."}
	}
	op, ok := errors.AsType[*net.OpError](err)
	for inner := op; ok; inner, ok = errors.AsType[*net.OpError](inner.Err) { // inside a proxy's
		op = inner
	}
	if op == nil {
		return failure{}
	}
	addr := "there"
	if op.Addr != nil {
		addr = "at " + op.Addr.String()
	}
	switch {
	case errors.Is(err, syscall.ENOENT) && op.Net == "unix":
		return failure{"there is no socket " + op.Addr.String(), "Check the path, and that the server is running."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure{"nothing listens " + addr + " (connection refused)", "Check that the server is running, and the port."}
	case errors.Is(err, syscall.ECONNRESET):
		return failure{"the connection was reset", "The server, or something on the way, closed it. See the server's log."}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return failure{"there is no route to the server " + addr, "Check the address, and the network of this machine."}
	case op.Op == "dial" && op.Timeout():
		return failure{"nothing answers " + addr + " (connection timed out)", "Check the address; a firewall may drop the packets."}
	}
	return failure{}
}

// ofTimeout describes a server that is silent.
func ofTimeout(err error) failure {
	switch {
	case strings.Contains(err.Error(), "timeout awaiting response headers"):
		return failure{"no response within the --response-timeout", "The server takes the connection and does not answer."}
	case errors.Is(err, os.ErrDeadlineExceeded): // of sse.Client
		return failure{"the server sent nothing for the time of --idle", "The stream has no keep-alive, or the connection is dead."}
	}
	return failure{}
}

// ofStream describes how a connection ended.
func ofStream(err error) failure {
	text := err.Error()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "http2: client connection lost"):
		return failure{"the connection was cut", "See the server's log."}
	case strings.Contains(text, "stream error: stream ID"), strings.Contains(text, "GOAWAY"):
		return failure{"the server broke the stream off", "See the server's log."}
	case errors.Is(err, io.EOF):
		return failure{"the server closed the connection without an answer", "See the server's log."}
	case strings.Contains(text, "stopped after 10 redirects"):
		return failure{"the server redirects again and again: after 10 redirects there is no stream", "Check the URL, and whether the stream needs credentials."}
	}
	return failure{}
}

// prefixes are those of Go's packages, and of its errors that repeat the request.
var prefixes = regexp.MustCompile(`^(sse: stream failed \(not retried\): |(sse|net/http|http|http2|gzip|tls|x509): |(?i:get|post|put|patch|delete|head|options) "[^"]*": )+`)

// plain returns the text of an error without what only Go programmers understand.
func plain(err error) string { return prefixes.ReplaceAllString(err.Error(), "") }

// A describedError is an error with another text.
type describedError struct {
	error
	text string
}

func (e describedError) Error() string { return e.text }
func (e describedError) Unwrap() error { return e.error }

// inWords returns err with a text that says what has happened. A response that is not
// a stream, and an error of this program, say it themselves.
func inWords(err error) error {
	_, answered := errors.AsType[*sse.ResponseError](err)
	_, ours := errors.AsType[exitError](err)
	if answered || ours || errors.Is(err, errNotOpened) || errors.Is(err, sse.ErrTooLarge) || errors.Is(err, errNoMore) {
		return describedError{err, plain(err)}
	}
	return describedError{err, failureOf(err).what}
}
