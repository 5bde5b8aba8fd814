package natslog

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"example.org/sse/backplane"
)

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

	// A stream's name may have 255 bytes, also after encoding.
	maxPlain = 128
)

var encoding = base64.RawURLEncoding

// streamToken returns a name in a form that may be part of a stream's name: after an
// underscore if it is plain, otherwise encoded or as a digest, with another prefix.
func streamToken(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("natslog: %w: the name is empty", backplane.ErrSize)
	case len(name) > backplane.MaxKey:
		return "", fmt.Errorf("natslog: %w: the name is %d bytes long, limit %d", backplane.ErrSize, len(name), backplane.MaxKey)
	case len(name) > maxPlain:
		sum := sha256.Sum256([]byte(name))
		return "h-" + encoding.EncodeToString(sum[:]), nil
	case consistsOf(name, letters):
		return "_" + name, nil
	}
	return "-" + encoding.EncodeToString([]byte(name)), nil
}

func consistsOf(s, chars string) bool {
	return strings.Trim(s, chars) == "" // Trim stops at the first character that is not in chars
}

// escape encodes a record's key as one token of a subject, or an entry's id as a header's
// value. Plain text is unchanged, so that the stream is easy to read.
func escape(s string) string {
	if consistsOf(s, letters+"/") {
		return s
	}
	return "=" + encoding.EncodeToString([]byte(s))
}

// unescape reverses escape; ok is false for text that escape does not return.
func unescape(s string) (_ string, ok bool) {
	encoded, ok := strings.CutPrefix(s, "=")
	if !ok {
		return s, true
	}
	b, err := encoding.DecodeString(encoded)
	return string(b), err == nil
}
