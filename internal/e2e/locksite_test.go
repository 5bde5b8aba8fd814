package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"example.org/sse"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// lockPage shows the locks of cards and who is here, and has all buttons for card 7. It has
// no more than what the documentation of packages locks and presence shows.
const lockPage = `<!doctype html><html><head><link rel=icon href=data:>
<script type=module src="/page.js" data-page="%[1]s"></script></head><body>
<p id=locks></p><p id=people></p><p id=answer></p>
<script type=module>
	import { connect, post as send, update } from '/page.js'
	const held = new Map()
	let fence
	const render = () => locks.textContent = [...held.values()].map(l => l.key + ' ' + l.holder.user + (l.queue ?? []).map(s => ', ' + s.user)).join('; ')
	const source = connect('/locks')
	source.addEventListener('locks', e => { held.clear(); for (const l of JSON.parse(e.data)) held.set(l.key, l); render(); document.body.dataset.joined = (document.body.dataset.joined ?? 0) * 1 + 1 })
	source.addEventListener('lock', e => { const l = JSON.parse(e.data); l.holder ? held.set(l.key, l) : held.delete(l.key); render() })
	connect('/people').addEventListener('presence', e => people.textContent = JSON.parse(e.data).members.map(m => m.user + ' ' + (m.data ?? '')).join(', '))
	const post = async (url, form) => {
		const response = await send(url, form)
		const text = await response.text()
		try { const l = JSON.parse(text); fence = l.fence; answer.textContent = response.status + ' ' + (l.error ?? '') + ' ' + (l.holder?.user ?? '') } catch { answer.textContent = response.status }
	}
	window.act = action => post('/locks', {action, card: 7, reason: 'lunch'})
	window.save = text => post('/save', {card: 7, fence, text})
	window.type = update
</script></body></html>`

// A lockSite is the program of the documentation, with who is here besides.
type lockSite struct {
	t      *testing.T
	addr   string
	server *http.Server
	served chan error

	mu    sync.Mutex
	saved []string
}

func (s *lockSite) serve() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	mux := http.NewServeMux()

	people := &presence.Tracker{Key: []byte("32 random bytes, which are kept."), User: currentUser}
	cards := &locks.Table[int]{Presence: people}
	mux.Handle("/page.js", people)
	mux.Handle("GET /locks", cards)
	mux.Handle("POST /locks", cards.Handler(cardID))
	mux.Handle("POST /save", cards.Guard(cardID, s.save))
	mux.HandleFunc("GET /people", func(w http.ResponseWriter, r *http.Request) {
		session, err := people.Session(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			people.Connect(source, session, "site")
			people.Watch(source, "site")
		})
	})
	mux.HandleFunc("GET /as/{user}", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "user", Value: r.PathValue("user"), Path: "/"})
		token, _ := people.Token(r.PathValue("user"))
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, lockPage, token)
	})

	s.server, s.served = &http.Server{Handler: mux}, make(chan error, 1)
	go func() {
		s.served <- s.server.Serve(sse.Listener(l))
		cards.Close()
		people.Close()
	}()
}

func currentUser(r *http.Request) string {
	c, err := r.Cookie("user")
	if err != nil {
		return ""
	}
	return c.Value
}

func cardID(r *http.Request) (int, error) { return strconv.Atoi(r.FormValue("card")) }

func (s *lockSite) save(_ http.ResponseWriter, r *http.Request, l locks.Lock[int]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = append(s.saved, l.Holder.User+": "+r.FormValue("text"))
}

func (s *lockSite) stop() {
	s.server.Close()
	<-s.served
}

// The program of the documentation, used by two people in Chromium: they take a lock, wait
// for it, take it over and save. A page that is closed frees it, and a page whose server was
// restarted shows no lock of before.
func TestLockSite(t *testing.T) {
	needChromium(t)
	s := &lockSite{t: t, addr: "127.0.0.1:0"}
	s.serve()
	defer func() { s.stop() }()
	page := func(user string) *tab {
		b := open(t, "http://"+s.addr+"/as/"+user, chromedp.WithNewBrowserContext())
		b.expect("status of 409", "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
		b.await(soon, "document.body.dataset.joined === '1'")
		return b
	}
	ann, bob := page("Ann"), page("Bob")
	shows := func(b *tab, element, want string) {
		t.Helper()
		b.await(soon, fmt.Sprintf("document.getElementById('%s').textContent.trim() === %q", element, want))
	}
	shows(ann, "people", "Ann , Bob")
	ann.do("type('typing')")
	shows(bob, "people", "Ann typing, Bob")
	for _, step := range []struct {
		by              *tab
		do, says, locks string
	}{
		{ann, "act('take')", "200  Ann", "7 Ann"},
		{bob, "act('take')", "409 held Ann", "7 Ann"},
		{bob, "act('queue')", "200  Ann", "7 Ann, Bob"},
		{ann, "save('better')", "200", "7 Ann, Bob"},
		{bob, "save('worse')", "409", "7 Ann, Bob"},
		{ann, "act('release')", "200  Bob", "7 Bob"},
		{bob, "act('renew')", "200  Bob", "7 Bob"},
		{ann, "act('steal')", "200  Ann", "7 Ann"},
		{bob, "save('late')", "409", "7 Ann"},
	} {
		step.by.do("answer.textContent = ''; " + step.do)
		shows(step.by, "answer", step.says)
		shows(ann, "locks", step.locks)
		shows(bob, "locks", step.locks)
	}
	begin := time.Now()
	if err := chromedp.Cancel(ann.ctx); err != nil {
		t.Fatal(err)
	}
	shows(bob, "locks", "")
	t.Logf("tab closed: free after %v", time.Since(begin).Round(time.Millisecond))
	shows(bob, "people", "Bob")
	bob.do("act('take')")
	shows(bob, "locks", "7 Bob")
	s.stop()
	s.serve()
	bob.await(soon, "document.body.dataset.joined > 1")
	shows(bob, "locks", "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := fmt.Sprint(s.saved); got != "[Ann: better]" {
		t.Errorf("got saves %s, want [Ann: better]", got)
	}
}
