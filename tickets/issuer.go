package tickets

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"example.org/sse/backplane"
)

// MaxUser is the maximum length of a user, in bytes.
const MaxUser = 256

// ErrInvalidTicket means that a request has no ticket that is good for it. The text of
// the error that wraps it says whether the ticket is missing, forged or for another path,
// expired, or used. A handler responds with 403.
var ErrInvalidTicket = errors.New("tickets: invalid ticket")

const (
	saltBytes   = 16 // random: of the ticket's own key, and its name in the store
	expiryBytes = 8  // milliseconds since 1970
	tagBytes    = 16 // of AES-GCM

	maxTicket = (saltBytes + expiryBytes + MaxUser + tagBytes + 2) / 3 * 4

	// clockSkew is how much the clocks of processes may differ.
	clockSkew = time.Minute

	// storeTimeout is how long Redeem waits for the store.
	storeTimeout = 5 * time.Second

	prefix = "ticket/" // of records in the store
)

// encoding has one spelling for each ticket, and no character that a URL escapes.
var encoding = base64.RawURLEncoding.Strict()

// An Issuer issues tickets and redeems them, each once. The zero value is ready to use,
// in one process; several processes need the same Key and a Store. The fields must not
// be changed after first use. Its methods may be called from any goroutine.
type Issuer struct {
	// Key encrypts and authenticates the tickets. It should be 32 random bytes, and can be
	// one that has other uses. Empty: a random one, so that a restart invalidates all
	// tickets.
	Key []byte

	// Store remembers which tickets were redeemed, in records that expire. Nil: the
	// memory of this process.
	Store backplane.Store

	// MaxAge is how long a ticket is valid, by the clocks of the processes that issue and
	// redeem it, which may differ by a minute. 0 or less: a minute.
	MaxAge time.Duration

	once   sync.Once
	random []byte
	memory backplane.Memory
}

// Issue returns a ticket with which a user, whom the caller has authenticated, can open
// one stream whose URL has this path, which is compared with that of
// [http.Request.URL]. The user can be a session's id, so that the ticket is not valid for
// longer than the session: it is encrypted. The ticket needs no escaping in a URL.
//
// Issue returns the empty string, which is no ticket, for a user of more than [MaxUser]
// bytes. It uses no store.
func (i *Issuer) Issue(user, path string) string {
	if len(user) > MaxUser {
		return ""
	}
	maxAge := i.MaxAge
	if maxAge <= 0 {
		maxAge = time.Minute
	}
	salt := make([]byte, saltBytes, maxTicket)
	rand.Read(salt) // never fails
	expiry := time.Now().Add(maxAge).UnixMilli()
	text := binary.BigEndian.AppendUint64(nil, uint64(expiry)) //nolint:gosec // after 1970
	text = append(text, user...)
	return encoding.EncodeToString(i.cipher(salt).Seal(salt, noNonce, text, []byte(path)))
}

// Redeem returns the user to whom the ticket of a request was issued, which is in the
// query parameter ticket, and invalidates the ticket: of several requests with one
// ticket, one succeeds, whatever processes they reach.
//
// The error is [ErrInvalidTicket] if the ticket is missing, was not issued with this Key
// for the request's path, has expired, or was redeemed before. Another error is that of the
// Store, which Redeem waits for up to 5 s, or until the request's context ends. The
// ticket may be lost then: the client needs another one.
func (i *Issuer) Redeem(r *http.Request) (user string, err error) {
	ticket := r.URL.Query().Get("ticket")
	if ticket == "" {
		return "", fmt.Errorf("%w: missing: send the query parameter ticket", ErrInvalidTicket)
	}
	if len(ticket) > maxTicket {
		return "", fmt.Errorf("%w: forged: is %d bytes long, limit %d", ErrInvalidTicket, len(ticket), maxTicket)
	}
	salt, text := i.open(ticket, r.URL.Path)
	if text == nil {
		return "", fmt.Errorf("%w: forged, for another path, or made with another key", ErrInvalidTicket)
	}
	expiry := time.UnixMilli(int64(binary.BigEndian.Uint64(text))) //nolint:gosec // as issued
	rest := time.Until(expiry)
	if rest <= 0 {
		return "", fmt.Errorf("%w: expired %v ago", ErrInvalidTicket, -rest.Truncate(time.Second))
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	key := prefix + encoding.EncodeToString(salt)
	_, err = i.store().Swap(ctx, key, 0, []byte{}, rest+clockSkew)
	switch {
	case errors.Is(err, backplane.ErrConflict):
		return "", fmt.Errorf("%w: used", ErrInvalidTicket)
	case err != nil:
		return "", fmt.Errorf("tickets: redeem: %w", err)
	}
	return string(text[expiryBytes:]), nil
}

// open returns what a ticket for a path holds, nil if it is none.
func (i *Issuer) open(ticket, path string) (salt, text []byte) {
	raw, err := encoding.DecodeString(ticket)
	if err != nil || len(raw) < saltBytes+expiryBytes+tagBytes || strings.ContainsAny(ticket, "\r\n") { // which base64 ignores
		return nil, nil
	}
	salt = raw[:saltBytes]
	text, err = i.cipher(salt).Open(nil, noNonce, raw[saltBytes:], []byte(path)) // compares in constant time
	if err != nil {
		return nil, nil
	}
	return salt, text
}

func (i *Issuer) store() backplane.Store { return cmp.Or(i.Store, backplane.Store(&i.memory)) }

// noNonce is the nonce of a key that is used once.
var noNonce = make([]byte, 12)

// cipher returns the cipher of the ticket with this salt: AES-256-GCM, with a key of its
// own.
func (i *Issuer) cipher(salt []byte) cipher.AEAD {
	h := hmac.New(sha256.New, i.secret())
	h.Write([]byte("sse ticket\x00")) // the key may be used for other purposes too
	h.Write(salt)
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block has 16 bytes
	}
	return aead
}

// secret returns the key, which is never empty.
func (i *Issuer) secret() []byte {
	if len(i.Key) > 0 {
		return i.Key
	}
	i.once.Do(func() {
		i.random = make([]byte, sha256.Size)
		rand.Read(i.random) // never fails
	})
	return i.random
}
