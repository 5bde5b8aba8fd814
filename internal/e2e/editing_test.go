package e2e

import (
	"bufio"
	"context"
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

	"example.org/sse/locks"
)

// A visitor has a page and its stream, without a browser.
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
	stream := &stream{get("/events?page=" + v.token), nil} // open until the test ends
	stream.lines = bufio.NewScanner(stream.Body)
	if !stream.sees("event: people") { // sent when the session is present
		d.t.Fatal("the stream ends")
	}
	return v
}

// lock takes, queues for, steals or releases a card's lock, and returns its fence.
func (v *visitor) lock(id, action string) string {
	v.d.t.Helper()
	body := v.post("/cards/lock", url.Values{"id": {id}, "action": {action}})
	var l locks.Lock[int64]
	if err := json.Unmarshal([]byte(body), &l); err != nil {
		v.d.t.Fatalf("%v: %s", err, body)
	}
	return fmt.Sprint(l.Fence)
}

// edit changes a card's text.
func (v *visitor) edit(id, revision, text string) {
	v.d.t.Helper()
	v.post("/cards/edit", url.Values{"id": {id}, "fence": {v.lock(id, "take")}, "revision": {revision}, "text": {text}})
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

var allPages = []string{"/htmx4", "/htmx2", "/eventsource"}

const demoGrace = 8 * time.Second // of the demo's presence.Tracker

// taking opens a page in a browser, and its card's editor. It returns when the
// watcher sees the card taken.
func (d *demo) taking(browser context.Context, watcher *tab, page, id string) *tab {
	d.t.Helper()
	b := openIn(browser, d.t, d.url(page), chromedp.WithNewBrowserContext())
	b.expect("[object Event]")
	b.await(soon, "document.body.dataset.stream === 'open'")
	begin := time.Now()
	b.take(id)
	d.t.Logf("%s: locked for all after %v", page, watcher.locked(id, true, begin, time.Second))
	return b
}

// A window takes a card and leaves, by closing its tab or by going to another page:
// a second window sees the card free within a second. Each kind of page does so.
func TestLockIsFreed(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	watcher := open(t, d.url("/eventsource"))
	watcher.await(soon, "document.body.dataset.stream === 'open'")
	// freed leaves the page until the card is free before the grace, as it is only
	// after a goodbye. On a busy machine that can take a second attempt.
	freed := func(page, how string, leave func(*tab)) {
		t.Helper()
		var took time.Duration
		for range 3 {
			b := d.taking(chromium, watcher, page, "1")
			begin := time.Now()
			leave(b)
			took = watcher.locked("1", false, begin, time.Second)
			t.Logf("%s: %s: freed after %v", page, how, took)
			if took < demoGrace {
				return
			}
		}
		t.Errorf("%s: %s: freed after %v, want less than %v", page, how, took, demoGrace)
	}
	for _, page := range allPages {
		freed(page, "tab closed", func(b *tab) {
			if err := chromedp.Cancel(b.ctx); err != nil {
				t.Fatal(err)
			}
		})
		freed(page, "navigated away", func(b *tab) { b.visit("about:blank") })
	}
}

// The first window's browser is killed, and says nothing: the card is free after the
// grace, within a second.
func TestLockOfKilled(t *testing.T) {
	needChromium(t)
	const grace = demoGrace
	d := startDemo(t)
	watcher := open(t, d.url("/eventsource"))
	watcher.await(soon, "document.body.dataset.stream === 'open'")
	var kills []func()
	for i, page := range allPages {
		browser, kill := launchAnother(t)
		d.taking(browser, watcher, page, fmt.Sprint(i+1))
		kills = append(kills, kill)
	}
	begin := time.Now()
	for _, kill := range kills {
		kill()
	}
	for i, page := range allPages {
		took := watcher.locked(fmt.Sprint(i+1), false, begin, time.Until(begin.Add(grace+time.Second)))
		t.Logf("%s: killed with SIGKILL: freed after %v, with a grace of %v", page, took, grace)
		if took < grace {
			t.Errorf("%s: freed after %v, want %v at least", page, took, grace)
		}
	}
}

// A page that is hidden by another tab keeps its lock, and can save afterwards; with
// htmx 4 too, which closes the stream of a hidden page.
func TestLockIsKeptWhileHidden(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	watcher := open(t, d.url("/eventsource"), chromedp.WithNewBrowserContext())
	var tabs []*tab
	for i, page := range allPages {
		b := open(t, d.url(page), chromedp.WithNewWindow(false)) // all in one window
		b.front()
		b.await(soon, "document.body.dataset.stream === 'open'")
		b.take(fmt.Sprint(i + 1))
		tabs = append(tabs, b)
	}
	kept := func() {
		t.Helper()
		for i := range tabs {
			watcher.locked(fmt.Sprint(i+1), true, time.Now(), 0)
		}
	}
	kept()
	open(t, "about:blank", chromedp.WithNewWindow(false)).front()
	for _, b := range tabs {
		b.await(soon, "document.visibilityState === 'hidden'")
	}
	time.Sleep(10 * time.Second) // longer than the grace
	kept()
	tabs[0].front()             // htmx 4
	time.Sleep(2 * time.Second) // it gets what it has missed
	kept()
	for i, b := range tabs {
		b.front()
		text := "saved by " + b.name
		b.do(fmt.Sprintf("document.querySelector('#editor textarea').value = %q; document.querySelector('#editor .primary').click()", text))
		eventually(t, soon, func() string { return missing(d, text) })
		watcher.locked(fmt.Sprint(i+1), false, time.Now(), soon)
		b.await(soon, "!document.querySelector('#editor').open")
		t.Logf("%s: hidden for 10 s: not freed", b.name)
	}
}

// A page that wants a card that somebody else edits can queue for it, or take it over.
func TestLockInLine(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	var tabs []*tab
	for _, page := range allPages {
		b := open(t, d.url(page), chromedp.WithNewBrowserContext())
		b.expect("status of 409") // the lock is held
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
		state(b, "held", "has been editing this card since")
		press(b, "[data-lock=queue]")
		state(b, "waiting", [2]string{"You are next", "1 person is ahead of you"}[i])
	}
	ann.await(soon, `document.querySelector('[data-card="2"] .lock').innerText.includes('2 waiting')`)
	// Ann saves: Bob's editor has the new text, Cat moves up.
	ann.do("document.querySelector('#editor textarea').value = 'by Ann'; document.querySelector('#editor .primary').click()")
	state(bob, "mine", "")
	bob.await(soon, "document.querySelector('#editor textarea').value === 'by Ann'")
	state(cat, "waiting", "You are next")
	// Ann takes over instead of waiting.
	ann.await(soon, "!document.querySelector('#editor').open")
	ann.do("document.getElementById('edit-2').click()")
	state(ann, "held", "has been editing this card")
	bob.do("document.querySelector('#editor textarea').value = 'half a sent'")
	press(ann, "[data-lock=steal]")
	state(ann, "mine", "")
	state(bob, "lost", "has taken over. Your text is not saved")
	bob.await(0, "document.querySelector('#editor textarea').value === 'half a sent'")
	// A save with a lost lock is refused, even if the page does not know that it is lost.
	bob.expect("Response Status Error Code 409")
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

// A restart frees all locks. A page that is writing gets its lock again, unless another
// page was faster, and can save.
func TestLockAfterRestart(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	tabs := openAll(t, d)
	for i, b := range tabs {
		b.expect("ERR_CONNECTION_REFUSED", "[object Event]")
		b.take(fmt.Sprint(i + 1))
		b.do(`document.querySelector('#editor textarea').value = 'written over a restart'
			window.before = document.querySelector('#editor form').elements.fence.value`)
	}
	d.stop()
	for _, b := range tabs {
		b.await(soon, "document.body.dataset.stream === 'lost'")
	}
	d.start()
	for i, b := range tabs {
		b.await(15*time.Second, "document.body.dataset.stream === 'open'")
		tabs[(i+1)%3].locked(fmt.Sprint(i+1), true, time.Now(), soon)
		b.await(soon, "document.querySelector('#editor form').elements.fence.value !== window.before")
		b.await(0, "document.querySelector('#editor textarea').value === 'written over a restart'")
		b.do("document.querySelector('#editor .primary').click()")
		b.await(soon, "!document.querySelector('#editor').open")
	}
	n := 0
	for _, c := range d.cards() {
		n += strings.Count(c.Text, "written over a restart")
	}
	if n != len(tabs) {
		t.Errorf("got %d texts saved, want %d", n, len(tabs))
	}
}
