package locks_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// Only a save with the lock's present fence, from the page that holds it, is let through.
func TestGuard(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		ctx := t.Context()
		ann, bob := s.open("ann"), s.open("bob")
		old, _ := table.Take(ctx, ann.Session, 7)
		table.Steal(ctx, bob.Session, 7, "")
		now, _ := table.Steal(ctx, ann.Session, 7, "")
		other, _ := table.Take(ctx, ann.Session, 8)

		var saved int
		guard := table.Guard(cardOf, func(w http.ResponseWriter, r *http.Request, l locks.Lock[int]) {
			saved++
			fmt.Fprint(w, l.Key, l.Holder.User)
		})
		text := func(fence uint64) string { return strconv.FormatUint(fence, 10) }
		for _, tt := range []struct {
			name                string
			page                *page
			card, fence, header string
			want                int
		}{
			{"the holder", ann, "7", text(now.Fence), "", http.StatusOK},
			{"the holder, by the header", ann, "7", "", text(now.Fence), http.StatusOK},
			{"an old fence", ann, "7", text(old.Fence), "", http.StatusConflict},
			{"an old fence in the header", ann, "7", "", text(old.Fence), http.StatusConflict},
			{"the header counts", ann, "7", text(now.Fence), text(old.Fence), http.StatusConflict},
			{"another lock's fence", ann, "7", text(other.Fence), "", http.StatusConflict},
			{"another page", bob, "7", text(now.Fence), "", http.StatusConflict},
			{"a free lock", ann, "9", text(now.Fence), "", http.StatusConflict},
			{"zero", ann, "9", "0", "", http.StatusConflict},
			{"nonsense", ann, "7", "-1", "", http.StatusConflict},
			{"no fence", ann, "7", "", "", http.StatusPreconditionRequired},
			{"no key", ann, "x", text(now.Fence), "", http.StatusBadRequest},
			{"no page", &page{}, "7", text(now.Fence), "", http.StatusForbidden},
			{"a forged page", &page{token: ann.token + "x"}, "7", text(now.Fence), "", http.StatusForbidden},
		} {
			saved = 0
			form := url.Values{"card": {tt.card}}
			if tt.fence != "" {
				form.Set("fence", tt.fence)
			}
			r := httptest.NewRequest("POST", "/save?page="+tt.page.token, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("If-Match", `"of the resource"`) // which is not the lock's
			if tt.header != "" {
				r.Header.Set("Lock-Fence", tt.header)
			}
			w := httptest.NewRecorder()
			guard.ServeHTTP(w, r)
			if w.Code != tt.want || (saved == 1) != (tt.want == http.StatusOK) {
				body, _ := io.ReadAll(w.Body)
				t.Errorf("%s: status %d, want %d: %s", tt.name, w.Code, tt.want, body)
			}
		}
	})
}

// While others steal the lock, each save that is let through comes with the lock and the
// fence of its own session: what is passed on is what was compared.
func TestGuardWhileStolen(t *testing.T) {
	for _, store := range []backplane.Store{nil, new(backplane.Memory)} {
		tracker, _ := presentOn(t, store, 0)
		table := &locks.Table[int]{Presence: tracker}
		defer table.Close()
		tokens, sessions := make([]string, 8), make([]presence.Session, 8)
		for i := range sessions {
			tokens[i], sessions[i] = tracker.Token(fmt.Sprint("user ", i))
			source := connectSession(t, tracker, sessions[i])
			defer source.Close()
		}
		var saves atomic.Int64
		guard := table.Guard(cardOf, func(_ http.ResponseWriter, r *http.Request, l locks.Lock[int]) {
			saves.Add(1)
			if self, _ := tracker.Session(r); l.Holder != self || fmt.Sprint(l.Fence) != r.FormValue("fence") {
				t.Errorf("let through a save of %v under fence %s with the lock of %v, fence %d", self, r.FormValue("fence"), l.Holder, l.Fence)
			}
		})
		var all sync.WaitGroup
		for i, s := range sessions {
			all.Go(func() {
				for range 300 {
					l, err := table.Steal(t.Context(), s, 7, "")
					if err != nil {
						t.Error(err)
					}
					r := httptest.NewRequest("POST", fmt.Sprintf("/?page=%s&card=7&fence=%d", tokens[i], l.Fence), nil)
					guard.ServeHTTP(httptest.NewRecorder(), r)
				}
			})
		}
		all.Wait()
		if saves.Load() == 0 {
			t.Error("no save was let through")
		}
	}
}
