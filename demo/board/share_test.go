package board

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/internal/postgres"
)

// A change at one node is on the pages of all, which never get an older board after
// a newer one. People and locks are the same at all nodes.
func TestShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board.db")
	var memory backplane.Memory
	shared(t, func(node string) *App {
		s, err := openStore(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.close() })
		key, err := s.key(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := newApp(s, key, "")
		a.Share(node, &memory, &memory)
		return a
	})
}

// So it is in PostgreSQL, where the board is shown by the transaction that changes it.
func TestSharePostgres(t *testing.T) {
	server, err := postgres.New(t.Context(), "fsync=off")
	if errors.Is(err, postgres.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	shared(t, func(node string) *App {
		a, err := openPostgres(t.Context(), server.URL("postgres"), node, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		return a
	})
}

// shared tests three nodes.
func shared(t *testing.T, open func(node string) *App) {
	t.Helper()
	var apps []*App
	var bases []string
	for i := range 3 {
		a := open(fmt.Sprint(i))
		apps, bases = append(apps, a), append(bases, serveApp(t, a))
	}
	token := tokenOf(apps[0], "a")
	var readers []*reader
	for i, base := range bases {
		if resp, err := http.Get(base + "/ready"); err != nil || resp.StatusCode != http.StatusNoContent {
			t.Errorf("node %d: /ready: got %v, %v, want 204", i, resp, err)
		}
		page := tokenOf(apps[2-i], "b") // from another node
		if i == 0 {
			page = token
		}
		readers = append(readers, listen(t, base+"/events?page="+page, []string{"a", "b", "b"}[i]))
	}
	for i, r := range readers {
		r.until("node", fmt.Sprint("to node ", i))
		for ticks := 0; len(apps[i].people.here()) != 2; ticks++ {
			if r.until("clock"); ticks > 5 {
				t.Fatalf("node %d: got people %v, want 2", i, apps[i].people.here())
			}
		}
	}
	post := func(base, path, form string) string {
		t.Helper()
		values, _ := url.ParseQuery(form)
		status, body := send(t, base+path, values, "Page-Token", token, "Cookie", "visitor=a")
		if status >= 300 {
			t.Fatalf("%s %s: %d %s", path, form, status, body)
		}
		return body
	}
	fence := fenceIn(t, post(bases[1], "/cards/lock", "id=1&action=take"))
	for _, r := range readers {
		r.until("locks", `data-of="1"`)
	}
	post(bases[2], "/cards/edit", "id=1&revision=1&text=edited&fence="+fence)
	for _, r := range readers {
		r.until("board", "<b>edited</b>")
	}
	post(bases[0], "/cards/lock", "id=1&action=release")
	var adding sync.WaitGroup
	const each = 10
	for i, base := range bases {
		adding.Go(func() {
			for range each {
				if status, body := send(t, base+"/cards/add", url.Values{"text": {fmt.Sprint("by ", i)}}); status != 204 {
					t.Errorf("add: got %d %s, want 204", status, body)
				}
			}
		})
	}
	for i, r := range readers {
		for before := 0; before < len(firstCards())+len(bases)*each; {
			now := strings.Count(r.until("board"), "<article")
			if now <= before {
				t.Fatalf("node %d: got a board of %d cards after one of %d, want more", i, now, before)
			}
			before = now
		}
	}
	adding.Wait()
}

// A moody log sometimes does not answer: silent means that it has not appended the
// entry, deaf that it has.
type moody struct {
	backplane.Memory

	mu           sync.Mutex
	silent, deaf bool
	entries      map[backplane.Cursor]bool
}

func (m *moody) set(silent, deaf bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent, m.deaf, m.entries = silent, deaf, make(map[backplane.Cursor]bool)
}

func (m *moody) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.silent {
		return backplane.Cursor{}, fmt.Errorf("%w: it is silent", backplane.ErrIndeterminate)
	}
	c, err := m.Memory.Append(ctx, id, data)
	m.entries[c] = true
	if m.deaf {
		err = fmt.Errorf("%w: it is deaf", backplane.ErrIndeterminate)
	}
	return c, err
}

// A change that could not be shown is stored, and shown later: once, even if the log
// had it already.
func TestLate(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		a := newApp(newStore(t), []byte("key"), "")
		var log moody
		log.set(false, false)
		a.Share("A", &log, &log)
		base := serveApp(t, a)
		r := listen(t, base+"/events", "a")
		r.until("board", "Nothing here.")
		a.streams.show(t.Context()) // the empty board of newStore
		log.set(!deaf, deaf)
		status, body := send(t, base+"/cards/add", url.Values{"text": {"late"}})
		if status != http.StatusAccepted || !strings.Contains(body, "Everybody will see it") {
			t.Errorf("add: got %d %s, want %d", status, body, http.StatusAccepted)
		}
		if got := order(t, a.store, todo); got != "late" {
			t.Errorf("got cards %q, want %q", got, "late")
		}
		log.mu.Lock()
		log.silent, log.deaf = false, false
		log.mu.Unlock()
		r.until("board", "<b>late</b>")
		for deaf && a.streams.show(t.Context()) != nil {
			continue // until it succeeds
		}
		send(t, base+"/cards/add", url.Values{"text": {"next"}})
		r.until("board", "<b>next</b>")
		log.mu.Lock()
		if n := len(log.entries); n < 2 || n > 2*len(dialects) {
			t.Errorf("two changes: got %d entries, want 2 to %d", n, 2*len(dialects))
		}
		log.mu.Unlock()
	}
}
