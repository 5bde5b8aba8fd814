package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// soon is how long a change may take to be visible, on a busy machine.
const soon = 5 * time.Second

// openAll opens the three pages, and waits until they are connected.
func openAll(t *testing.T, d *demo) []*tab {
	t.Helper()
	var tabs []*tab
	for _, page := range []string{"/htmx4", "/htmx2", "/eventsource"} {
		tabs = append(tabs, open(t, d.url(page)))
	}
	for _, b := range tabs {
		b.await(soon, "document.body.dataset.stream === 'open'")
	}
	return tabs
}

// A change from elsewhere is on all pages, as it was written.
func TestChangesFromElsewhere(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	tabs := openAll(t, d)
	same(t, d, tabs...)
	for _, b := range tabs {
		b.do("window.first = document.querySelector('#clock time').textContent")
		b.do("document.getElementById('tick-1').focus()")
	}

	d.post("/cards/add", "text", "new")
	same(t, d, tabs...)
	for _, b := range tabs {
		b.await(soon, "document.activeElement.id === 'tick-1'") // the focus is back
		b.await(soon, "document.querySelector('#clock time').textContent !== window.first")
		b.await(soon, "document.querySelectorAll('#machine path.line').length === 3")
		b.await(soon, "Number(document.querySelector('#machine .events output').textContent) > 0")
		b.await(soon, "document.querySelectorAll('#people li').length === 1") // one browser
	}
	id := d.find("new").ID

	text := "<b>bold</b> & &amp; <hx-partial>\n\n  indented <script>alert(1)</script>\n\"quoted\" 'too' é 漢 🎈"
	d.enter().edit(id, "1", text)
	same(t, d, tabs...)
	if got := d.find(text).ID; got != id {
		t.Errorf("got the text in card %s, want %s", got, id)
	}
	for _, b := range tabs {
		// On the screen, too, each line is a line.
		lines := eval[string](b, fmt.Sprintf(`document.querySelector('[data-card="%s"] .text').innerText`, id))
		if lines != text {
			t.Errorf("%s shows %q, want %q", b.name, lines, text)
		}
		if n := eval[int](b, "document.querySelectorAll('#board .text :not(b), #board script').length"); n > 0 {
			t.Errorf("%s has made %d elements of the text, want 0", b.name, n)
		}
		b.await(0, fmt.Sprintf(`document.querySelector('.changed').dataset.card === '%s'`, id))
	}

	for _, to := range []string{"done/0", "todo/0", "doing/4", "doing/0", "todo/1"} {
		d.post("/cards/move", "id", id, "to", to)
		same(t, d, tabs...)
	}
	d.post("/cards/delete", "id", id)
	same(t, d, tabs...)
}

// A change by a page's buttons is on all pages.
func TestChangesOnThePage(t *testing.T) {
	needChromium(t)
	d := startDemo(t)
	tabs := openAll(t, d)
	for _, b := range tabs {
		text := "written on " + b.name
		b.do(fmt.Sprintf(`const form = document.querySelector('.composer')
			form.elements.text.value = %q
			form.querySelector('button').click()`, text))
		eventually(t, soon, func() string { return missing(d, text) })
		same(t, d, tabs...)
		b.await(soon, "document.querySelector('.composer').elements.text.value === ''")
		id := d.find(text).ID
		moved := func(how, want string) {
			t.Helper()
			eventually(t, soon, func() string {
				if got := d.placeOf(id); got != want {
					return fmt.Sprintf("%s: after %s the card is at %s, not %s", b.name, how, got, want)
				}
				return ""
			})
			same(t, d, tabs...)
		}
		for _, step := range [][2]string{
			{"tick", "done/1"}, {"tick", "todo/3"}, {"right", "doing/2"}, {"up", "doing/1"}, {"down", "doing/2"}, {"left", "todo/3"},
		} {
			b.do(fmt.Sprintf("document.getElementById('%s-%s').click()", step[0], id))
			moved(step[0], step[1])
		}
		drag(b, id, "doing", 0)
		moved("dragging", "doing/0")

		edited := text + "\nand <b>edited</b>"
		b.take(id)
		b.do(fmt.Sprintf(`const form = document.querySelector('#editor form')
			if (form.elements.text.value !== %q) throw form.elements.text.value
			form.elements.text.value = %q
			form.querySelector('.primary').click()`, text, edited))
		eventually(t, soon, func() string { return missing(d, edited) })
		b.await(soon, "!document.querySelector('#editor').open")
		same(t, d, tabs...)
		b.locked(id, false, time.Now(), soon)

		b.do(fmt.Sprintf("document.getElementById('delete-%s').click()", id))
		eventually(t, soon, func() string {
			if missing(d, edited) == "" {
				return b.name + ": the card is not deleted"
			}
			return ""
		})
		same(t, d, tabs...)
	}
}

func missing(d *demo, text string) string {
	for _, c := range d.cards() {
		if c.Text == text {
			return ""
		}
	}
	return fmt.Sprintf("the board has no %q", text)
}

// drag drags a card to the top of a column, with the events of a mouse.
func drag(b *tab, id, column string, y int) {
	b.t.Helper()
	b.do(fmt.Sprintf(`const data = new DataTransfer()
		const fire = (element, name, y) => element.dispatchEvent(
			new DragEvent(name, {bubbles: true, cancelable: true, dataTransfer: data, clientY: y}))
		const column = document.querySelector('[data-column=%q]')
		fire(document.querySelector('[data-card="%s"]'), 'dragstart', 0)
		if (fire(column, 'dragover', %d)) throw 'the column takes no cards'
		if (!column.classList.contains('into')) throw 'the column is not marked'
		fire(column, 'drop', %d)`, column, id, y, y))
}

// cards returns what the page shows, column by column, from top to bottom.
func (b *tab) cards() []card {
	b.t.Helper()
	return eval[[]card](b, `[...document.querySelectorAll('#board .card')].map(card => ({
		ID: card.dataset.card,
		Column: card.closest('.column').dataset.column,
		Text: card.querySelector('.text').textContent,
	}))`)
}

// same waits until all pages show what the database has.
func same(t *testing.T, d *demo, tabs ...*tab) {
	t.Helper()
	want := d.cards()
	for _, b := range tabs {
		eventually(t, soon, func() string {
			if got := b.cards(); !slices.Equal(got, want) {
				return fmt.Sprintf("%s shows\n%q\nthe database has\n%q", b.name, got, want)
			}
			return ""
		})
	}
}
