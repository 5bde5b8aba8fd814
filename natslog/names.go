package natslog

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"example.org/sse/backplane"
)

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

	// A stream's name may have 255 bytes, which the longest that is made of one
	// of ours must not exceed.
	maxPlain = 128
)

var encoding = base64.RawURLEncoding

// token returns a name in a form that may be a part of a stream's name: as it
// is, after an underscore, or else encoded or as a digest, after something else.
func token(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("natslog: the name is empty")
	case len(name) > backplane.MaxKey:
		return "", fmt.Errorf("%w: the name has %d bytes, allowed are %d", backplane.ErrSize, len(name), backplane.MaxKey)
	case len(name) > maxPlain:
		sum := sha256.Sum256([]byte(name))
		return "h-" + encoding.EncodeToString(sum[:]), nil
	case consistsOf(name, letters):
		return "_" + name, nil
	}
	return "-" + encoding.EncodeToString([]byte(name)), nil
}

func consistsOf(s, chars string) bool {
	return strings.Trim(s, chars) == "" // from both ends, up to the first that is none of them
}

// escape returns a record's key as one token of a subject, or an entry's id as
// a header's value. What is plain remains, for those who look at the stream.
func escape(s string) string {
	if consistsOf(s, letters+"/") {
		return s
	}
	return "=" + encoding.EncodeToString([]byte(s))
}

// unescape returns what escape was given; ok is false for something else.
func unescape(s string) (_ string, ok bool) {
	encoded, ok := strings.CutPrefix(s, "=")
	if !ok {
		return s, true
	}
	b, err := encoding.DecodeString(encoded)
	return string(b), err == nil
}
