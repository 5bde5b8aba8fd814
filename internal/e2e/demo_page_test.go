package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// More tabs of a page than a browser has connections to a server: those that are hidden have
// no stream, so that the one in front can send a form.
func TestDemoInManyTabs(t *testing.T) {
	needChromium(t)
	manyTabs := func(t *testing.T, open func(*testing.T, string) *tab) {
		d := startDemo(t)
		for _, page := range allPages {
			var b *tab
			for range 7 {
				b = open(t, d.url(page))
				b.await(soon, "document.body.dataset.stream === 'open'")
			}
			text := "from the last tab of " + page
			b.do(fmt.Sprintf(`const form = document.querySelector('.composer')
				form.elements.text.value = %q
				form.querySelector('button').click()`, text))
			eventually(t, soon, func() string { return missing(d, text) })
			same(t, d, b)
		}
	}
	t.Run("Chromium", func(t *testing.T) {
		manyTabs(t, func(t *testing.T, url string) *tab {
			b := open(t, url, chromedp.WithNewWindow(false))
			b.front()
			return b
		})
	})
	t.Run("Firefox", func(t *testing.T) { manyTabs(t, needFirefox(t).open) })
}

// The footer's command shows the page's own stream.
func TestDemoFooter(t *testing.T) {
	needChromium(t)
	overBrowsers(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		d := startDemo(t)
		for page, want := range map[string]string{"/htmx4": "/events/htmx4", "/htmx2": "/events", "/eventsource": "/events"} {
			b := open(t, d.url(page))
			if got := eval[string](b, "document.querySelector('footer.page').innerText"); !strings.Contains(got, "curl -N "+d.url(want)) || want == "/events" && strings.Contains(got, "/events/") {
				t.Errorf("%s: got %q, want the command of %s", page, got, want)
			}
		}
	})
}

// Whoever uses the keyboard keeps a place on the board when a button is gone.
func TestDemoFocus(t *testing.T) {
	needChromium(t)
	overBrowsers(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		d := startDemo(t)
		for _, page := range allPages {
			b := open(t, d.url(page))
			b.await(soon, "document.body.dataset.stream === 'open'")
			press := func(id, wantFocus string) {
				t.Helper()
				b.do(fmt.Sprintf("document.getElementById('%[1]s').focus(); document.getElementById('%[1]s').click()", id))
				b.await(soon, fmt.Sprintf("document.getElementById('%s') === null && document.activeElement.id === '%s'", id, wantFocus))
			}
			cards := eval[[]string](b, "[...document.querySelectorAll('[data-column=todo] .card')].map(card => card.dataset.card)")
			press("up-"+cards[1], "edit-"+cards[1]) // at the top, where it has no such button
			b.do(fmt.Sprintf("document.getElementById('down-%s').click()", cards[1]))
			b.await(soon, fmt.Sprintf("document.querySelector('[data-column=todo] .card').dataset.card === '%s'", cards[0]))
			d.post("/cards/add", "text", "to be deleted")
			added := d.find("to be deleted").ID
			b.await(soon, fmt.Sprintf("document.getElementById('delete-%s') !== null", added))
			below := eval[string](b, fmt.Sprintf(`(card => (card.nextElementSibling ?? card.previousElementSibling).dataset.card)(document.querySelector('[data-card="%s"]'))`, added))
			press("delete-"+added, "edit-"+below)
		}
	})
}

// A text that was changed is not discarded without a question.
func TestDemoDiscard(t *testing.T) {
	needChromium(t)
	overBrowsers(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		d := startDemo(t)
		for _, page := range allPages {
			b := open(t, d.url(page))
			b.await(soon, "document.body.dataset.stream === 'open'")
			b.take("1")
			b.do(`window.confirm = () => { window.asked = (window.asked ?? 0) + 1; return window.asked > 1 }
				const text = document.querySelector('#editor textarea')
				text.value = 'changed'
				text.dispatchEvent(new Event('input', {bubbles: true}))
				document.querySelector('#editor form [data-close]').click()`)
			b.await(0, "asked === 1 && document.querySelector('#editor').open")
			b.do("document.querySelector('#editor form [data-close]').click()")
			b.await(0, "asked === 2 && !document.querySelector('#editor').open")
			b.locked("1", false, time.Now(), soon)
			b.take("1")
			b.do("document.querySelector('#editor form [data-close]').click()") // nothing to discard
			b.await(0, "asked === 2 && !document.querySelector('#editor').open")
		}
	})
}

// Names can be read in each of their colors, in the light and in the dark: WCAG asks for a
// contrast of 4.5.
func TestDemoContrast(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	b := open(t, d.url("/htmx4"))
	for _, scheme := range []string{"light", "dark"} {
		got := eval[float64](b, fmt.Sprintf(`(() => {
			document.documentElement.style.colorScheme = %q
			const rgb = (element, property) => getComputedStyle(element)[property].match(/[\d.]+/g).slice(0, 3).map(Number)
			const light = color => color.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0)
			const card = document.querySelector('.card')
			return Math.min(...Array.from({length: 24}, (_, i) => {
				card.style.setProperty('--hue', i * 15)
				const [a, b] = [light(rgb(card.querySelector('.author'), 'color')), light(rgb(card, 'backgroundColor'))]
				return (Math.max(a, b) + .05) / (Math.min(a, b) + .05)
			}))
		})()`, scheme))
		if got < 4.5 {
			t.Errorf("%s: got a contrast of %.2f, want 4.5 at least", scheme, got)
		}
		t.Logf("%s: the least contrast of a name is %.2f", scheme, got)
	}
}
