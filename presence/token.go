package presence

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrInvalidToken means that a request has no valid page token. The text of the error
// that wraps it says whether the token is missing, forged, or another user's. A handler
// responds with 403.
var ErrInvalidToken = errors.New("presence: invalid page token")

// A Session is one page of one user, from when the page is rendered until it is gone,
// over any number of connections. Sessions are comparable and can be keys of a map.
type Session struct {
	User string `json:"user"` // as given to Token; others see it: a name or a public id, not a secret
	Page string `json:"page"` // random, made by Token; not a secret either
}

const (
	sumBytes  = 16 // of the signature: half of a SHA-256
	pageBytes = 12
	headBytes = sumBytes + pageBytes

	// maxToken is the length of the longest token.
	maxToken = (headBytes + maxName + 2) / 3 * 4
)

// encoding has one spelling for each token, and no character that a URL escapes.
var encoding = base64.RawURLEncoding.Strict()

// Token returns the token of a new session, for a page that is being rendered, and the
// session itself, so that the page knows which of the members, or holders of locks, it is.
// The page puts the token into the URLs of its streams and into the script's tag, where it
// needs no escaping. The token is signed, not encrypted: anyone who has it can read the
// user. Two pages must not have one token: respond with the header Cache-Control: no-store.
//
// For a user of more than 256 bytes Token returns the empty string, which is refused like a
// missing token, and no session. It may be called from any goroutine.
func (t *Tracker) Token(user string) (token string, s Session) {
	if len(user) > maxName {
		return "", Session{}
	}
	raw := make([]byte, headBytes, headBytes+len(user))
	rand.Read(raw[sumBytes:]) // never fails
	raw = append(raw, user...)
	copy(raw, t.sign(raw[sumBytes:]))
	return encoding.EncodeToString(raw), sessionOf(raw)
}

// sessionOf returns the session of a decoded token.
func sessionOf(raw []byte) Session {
	return Session{
		User: string(raw[headBytes:]),
		Page: encoding.EncodeToString(raw[sumBytes:headBytes]),
	}
}

// Session returns the session of the page that sent a request, from the token in the
// query parameter page or, without that, in the header Page-Token.
//
// The error is [ErrInvalidToken] if the token is missing, was not issued by this tracker,
// or was issued to another user, see [Tracker.User]. A valid token does not mean that its
// session is present. Session may be called from any goroutine.
func (t *Tracker) Session(r *http.Request) (Session, error) {
	token := r.URL.Query().Get("page")
	if token == "" {
		token = r.Header.Get("Page-Token")
	}
	if token == "" {
		return Session{}, fmt.Errorf("%w: missing: send the query parameter page or the header Page-Token", ErrInvalidToken)
	}
	if len(token) > maxToken {
		return Session{}, fmt.Errorf("%w: forged: is %d bytes long, limit %d", ErrInvalidToken, len(token), maxToken)
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) < headBytes || strings.ContainsAny(token, "\r\n") || // which base64 ignores
		!hmac.Equal(raw[:sumBytes], t.sign(raw[sumBytes:])) {
		return Session{}, fmt.Errorf("%w: forged, or signed with another key: reload the page", ErrInvalidToken)
	}
	s := sessionOf(raw)
	if t.User != nil && t.User(r) != s.User {
		return Session{}, fmt.Errorf("%w: foreign: issued to another user", ErrInvalidToken)
	}
	return s, nil
}

// sign returns the signature of the rest of a token.
func (t *Tracker) sign(rest []byte) []byte {
	h := hmac.New(sha256.New, t.secret())
	h.Write([]byte("sse presence\x00")) // the key may be used for other purposes too
	h.Write(rest)
	return h.Sum(nil)[:sumBytes]
}

// secret returns the key, which is never empty.
func (t *Tracker) secret() []byte {
	if len(t.Key) > 0 {
		return t.Key
	}
	t.check()
	t.once.Do(func() {
		t.random = make([]byte, sha256.Size)
		rand.Read(t.random) // never fails
	})
	return t.random
}
