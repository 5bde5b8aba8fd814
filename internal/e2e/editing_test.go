package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A visitor is one without a browser, but with a page and its stream.
type visitor struct {
	d      *demo
	client *http.Client
	token  string
}

// enter loads a page and opens its stream.
func (d *demo) enter() *visitor {
	d.t.Helper()
	jar, _ := cookiejar.New(nil)
	v := &visitor{d: d, client: &http.Client{Jar: jar}}
	get := func(path string) *http.Response {
		r, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.url(path), nil)
		if err != nil {
			d.t.Fatal(err)
		}
		resp, err := v.client.Do(r)
		if err != nil {
			d.t.Fatal(err)
		}
		return resp
	}
	page := get("/eventsource")
	body, _ := io.ReadAll(page.Body)
	page.Body.Close()
	v.token = string(regexp.MustCompile(`data-page="([^"]+)"`).FindSubmatch(body)[1])
	stream := &stream{get("/events?page=" + v.token), nil} // open until the test's end
	stream.lines = bufio.NewScanner(stream.Body)
	if !stream.sees("event: people") { // which comes when the session is present
		d.t.Fatal("the stream ends")
	}
	return v
}

// lock does something about a card's lock, and returns its token.
func (v *visitor) lock(id, how string) string {
	v.d.t.Helper()
	body := v.post("/cards/lock", url.Values{"id": {id}, "how": {how}})
	var reply struct{ Lock string }
	if how != "release" {
		if err := json.Unmarshal([]byte(body), &reply); err != nil {
			v.d.t.Fatalf("%v: %s", err, body)
		}
	}
	return reply.Lock
}

// edit gives a card another text.
func (v *visitor) edit(id, revision, text string) {
	v.d.t.Helper()
	v.post("/cards/edit", url.Values{"id": {id}, "lock": {v.lock(id, "take")}, "revision": {revision}, "text": {text}})
	v.lock(id, "release")
}

func (v *visitor) post(path string, form url.Values) string {
	v.d.t.Helper()
	resp, err := v.client.PostForm(v.d.url(path+"?page="+v.token), form)
	if err != nil {
		v.d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		v.d.t.Fatalf("%s %v: %s %s", path, form, resp.Status, body)
	}
	return string(body)
}

// take opens the editor of a card, and waits until it is open.
func (b *tab) take(id string) {
	b.t.Helper()
	b.do(fmt.Sprintf("document.getElementById('edit-%s').click()", id))
	b.await(soon, "document.querySelector('#editor').open && document.querySelector('#editor').dataset.state === 'mine'")
}

// locked waits until a page shows that a card is being edited, or is not, and
// returns how long that took.
func (b *tab) locked(id string, want bool, begin time.Time, limit time.Duration) time.Duration {
	b.t.Helper()
	b.await(limit, fmt.Sprintf(`(document.querySelector('[data-card="%s"] .lock') !== null) === %v`, id, want))
	return time.Since(begin).Round(time.Millisecond)
}

// Two windows, on each kind of page. The first takes a card, and goes in one way or
// another; the second sees the card taken, and free again in time.
func TestLockIsFreed(t *testing.T) {
	needChromium(t)
	const grace = 5 * time.Second // the demo's
	d := startDemo(t)
	watcher := open(t, d.url("/eventsource"))
	watcher.await(soon, "document.body.dataset.stream === 'open'")
	for _, page := range []string{"/htmx4", "/htmx2", "/eventsource"} {
		for _, way := range []struct {
			name  string
			limit time.Duration
			leave func(b *tab, kill func())
		}{
			{"closes the tab", time.Second, func(b *tab, _ func()) { chromedp.Cancel(b.ctx) }},
			{"navigates away", time.Second, func(b *tab, _ func()) { b.visit("about:blank") }},
			{"is killed with SIGKILL", grace + time.Second, func(_ *tab, kill func()) { kill() }},
		} {
			browser, kill := chromium, func() {}
			if way.limit > grace {
				browser, kill = launchAnother(t)
			}
			b := openIn(browser, t, d.url(page), chromedp.WithNewBrowserContext())
			b.expect("[object Event]")
			b.await(soon, "document.body.dataset.stream === 'open'")
			begin := time.Now()
			b.take("1")
			shown := watcher.locked("1", true, begin, time.Second)
			begin = time.Now()
			way.leave(b, kill)
			t.Logf("%s: locked for all after %v; %s: freed after %v", page, shown, way.name, watcher.locked("1", false, begin, way.limit))
		}
	}
}

// Another tab in front: whoever edits keeps the lock, with htmx 4 too, which closes
// the stream, and is still the one who saves.
func TestLockIsKeptWhileHidden(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	watcher := open(t, d.url("/eventsource"), chromedp.WithNewBrowserContext())
	for _, page := range []string{"/htmx4", "/htmx2", "/eventsource"} {
		b := open(t, d.url(page))
		b.await(soon, "document.body.dataset.stream === 'open'")
		b.take("1")
		watcher.locked("1", true, time.Now(), soon)
		other := open(t, "about:blank", chromedp.WithNewWindow(false))
		other.front()
		b.await(soon, "document.visibilityState === 'hidden'")
		time.Sleep(7 * time.Second) // more than the grace
		watcher.locked("1", true, time.Now(), 0)
		b.front()
		time.Sleep(6 * time.Second) // more than the grace
		watcher.locked("1", true, time.Now(), 0)
		text := "saved by " + page
		b.do(fmt.Sprintf("document.querySelector('#editor textarea').value = %q; document.querySelector('#editor .primary').click()", text))
		eventually(t, soon, func() string { return missing(d, text) })
		watcher.locked("1", false, time.Now(), soon)
		b.await(soon, "!document.querySelector('#editor').open")
		t.Logf("%s: hidden for 7 s: not freed", page)
	}
}

// A card that somebody else edits: who wants it waits in line, or takes it over.
func TestLockInLine(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	var tabs []*tab
	for _, page := range []string{"/htmx4", "/htmx2", "/eventsource"} {
		b := open(t, d.url(page), chromedp.WithNewBrowserContext())
		b.await(soon, "document.body.dataset.stream === 'open'")
		tabs = append(tabs, b)
	}
	state := func(b *tab, state, says string) {
		t.Helper()
		b.await(soon, fmt.Sprintf("document.querySelector('#editor').dataset.state === '%s' && document.querySelector('#editor').innerText.includes('%s')", state, says))
	}
	press := func(b *tab, selector string) {
		t.Helper()
		b.do(fmt.Sprintf("document.querySelector('#editor %s').click()", selector))
	}
	ann, bob, cat := tabs[0], tabs[1], tabs[2]
	ann.take("2")
	for i, b := range []*tab{bob, cat} {
		b.do("document.getElementById('edit-2').click()")
		state(b, "held", "is editing this card, since")
		press(b, "[data-lock=queue]")
		state(b, "waiting", [2]string{"You are next", "1 wait before you"}[i])
	}
	ann.await(soon, `document.querySelector('[data-card="2"] .lock').innerText.includes('2 waiting')`)
	// Ann saves: Bob has the new text in his editor, Cat moves up.
	ann.do("document.querySelector('#editor textarea').value = 'by Ann'; document.querySelector('#editor .primary').click()")
	state(bob, "mine", "")
	bob.await(soon, "document.querySelector('#editor textarea').value === 'by Ann'")
	state(cat, "waiting", "You are next")
	// Ann does not wait.
	ann.await(soon, "!document.querySelector('#editor').open")
	ann.do("document.getElementById('edit-2').click()")
	state(ann, "held", "is editing this card")
	bob.do("document.querySelector('#editor textarea').value = 'half a sent'")
	press(ann, "[data-lock=steal]")
	state(ann, "mine", "")
	state(bob, "lost", "has taken over. Your text is not saved")
	bob.await(0, "document.querySelector('#editor textarea').value === 'half a sent'")
	// A save with the lock that is lost is refused, even if the page does not know.
	bob.expect("status of 409", "Response Status Error Code 409")
	bob.do("document.querySelector('#editor form').requestSubmit()")
	bob.await(soon, "document.querySelector('#editor output').innerText.includes('Nothing was saved')")
	press(ann, "[data-close]")
	state(cat, "mine", "")
	cat.await(soon, "document.querySelector('#editor textarea').value === 'by Ann'")
	press(cat, "[data-close]")
	for _, b := range tabs {
		b.locked("2", false, time.Now(), soon)
	}
}

// A restart frees all locks. Whoever is writing gets his again, if nobody was faster,
// and can save.
func TestLockAfterRestart(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	tabs := openAll(t, d)
	for i, b := range tabs {
		b.expect("ERR_CONNECTION_REFUSED", "[object Event]")
		b.take(fmt.Sprint(i + 1))
		b.do("document.querySelector('#editor textarea').value = 'written over a restart'")
	}
	d.stop()
	for _, b := range tabs {
		b.await(soon, "document.body.dataset.stream === 'lost'")
	}
	d.start()
	for i, b := range tabs {
		b.await(15*time.Second, "document.body.dataset.stream === 'open'")
		tabs[(i+1)%3].locked(fmt.Sprint(i+1), true, time.Now(), soon)
		b.await(0, "document.querySelector('#editor textarea').value === 'written over a restart'")
		b.do("document.querySelector('#editor .primary').click()")
		b.await(soon, "!document.querySelector('#editor').open")
	}
	n := 0
	for _, c := range d.cards() {
		n += strings.Count(c.Text, "written over a restart")
	}
	if n != len(tabs) {
		t.Errorf("%d of %d are saved", n, len(tabs))
	}
}
