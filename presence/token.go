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

// MaxName is how many bytes a user and a place may have.
const MaxName = 256

// ErrInvalidToken says that a request has no page token that is good for it. The text
// of what wraps it tells whether the token is missing, forged, or another
// user's. A handler answers with 403.
var ErrInvalidToken = errors.New("presence: page token refused")

// A Session is one page of one user, from when it is rendered until it is gone,
// however many connections carry it meanwhile. Sessions can be compared, and be
// the keys of a map.
type Session struct {
	User string // as it was given to Token
	Page string // random, by Token. No secret: others may be told it
}

const (
	sumBytes  = 16 // of the signature: half of a SHA-256
	pageBytes = 12
	headBytes = sumBytes + pageBytes

	// maxToken is the length of the longest token.
	maxToken = (headBytes + MaxName + 2) / 3 * 4
)

// encoding has one way to spell a token, and no character that a URL escapes.
var encoding = base64.RawURLEncoding.Strict()

// Token returns a new session's token for a page that is being rendered, which
// puts it into the URLs of its streams, and into the script's tag. It needs no
// escaping there. It is signed, not encrypted: whoever has it can read the user.
//
// A user of more than [MaxName] bytes gets none, but the empty string. It may be
// called from any goroutine.
func (t *Tracker) Token(user string) string {
	if len(user) > MaxName {
		return ""
	}
	raw := make([]byte, headBytes, headBytes+len(user))
	rand.Read(raw[sumBytes:]) // never fails
	raw = append(raw, user...)
	copy(raw, t.sign(raw[sumBytes:]))
	return encoding.EncodeToString(raw)
}

// Session returns the session of the page that sent a request, by the token in
// the query parameter page, or else in the header Page-Token.
//
// The error is [ErrInvalidToken] if there is none, if it is not one of this tracker's,
// or if it was minted for somebody else than the request's user; see
// [Tracker.User]. That a token is good does not say that its session is present.
// It may be called from any goroutine.
func (t *Tracker) Session(r *http.Request) (Session, error) {
	token := r.URL.Query().Get("page")
	if token == "" {
		token = r.Header.Get("Page-Token")
	}
	if token == "" {
		return Session{}, fmt.Errorf("%w: missing: neither a query parameter page nor a header Page-Token", ErrInvalidToken)
	}
	if len(token) > maxToken {
		return Session{}, fmt.Errorf("%w: forged: of %d bytes", ErrInvalidToken, len(token))
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) < headBytes || strings.ContainsAny(token, "\r\n") || // which base64 passes over
		!hmac.Equal(raw[:sumBytes], t.sign(raw[sumBytes:])) {
		return Session{}, fmt.Errorf("%w: forged, or signed with another key: let the page be loaded again", ErrInvalidToken)
	}
	s := Session{
		User: string(raw[headBytes:]),
		Page: encoding.EncodeToString(raw[sumBytes:headBytes]),
	}
	if t.User != nil && t.User(r) != s.User {
		return Session{}, fmt.Errorf("%w: foreign: it is another user's", ErrInvalidToken)
	}
	return s, nil
}

// sign returns the signature of what follows it in a token.
func (t *Tracker) sign(rest []byte) []byte {
	t.once.Do(func() {
		if t.key = t.Key; len(t.key) == 0 {
			if t.Store != nil {
				panic("presence: a Tracker with a Store needs a Key, the same in all processes")
			}
			t.key = make([]byte, sha256.Size)
			rand.Read(t.key) // never fails
		}
	})
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte("sse presence\x00")) // the key may be there for other things too
	h.Write(rest)
	return h.Sum(nil)[:sumBytes]
}
