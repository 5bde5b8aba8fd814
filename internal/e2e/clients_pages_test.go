package e2e

import (
	"net/http"
	"os"
	"path"
	"strings"
	"testing"

	"example.org/sse"
)

// pagesOf serves a page, the packages that it imports, and a set's events.
func pagesOf(page string, events http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><link rel=icon href=data:,><ul id=list></ul>" + page))
	})
	packages := http.FileServerFS(os.DirFS("node_modules"))
	mux.Handle("GET /modules/", http.StripPrefix("/modules", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Ext(r.URL.Path) == "" { // as bundlers resolve an import
			r.URL.Path += ".js"
		}
		packages.ServeHTTP(w, r)
	})))
	mux.Handle("/events", events)
	return mux
}

func message(text string) sse.Event { return sse.Event{Data: `{"text":"` + text + `"}`} }
func item(text string) sse.Event    { return sse.Event{Data: "<li>\n" + text + "\n</li>"} }

func turboItem(text string) sse.Event {
	return sse.Event{Data: "<turbo-stream action=append target=list>\n<template><li>" + text + "</li></template>\n</turbo-stream>"}
}

func datastarItem(text string) sse.Event {
	return sse.Event{Type: "datastar-merge-fragments", Data: "selector #list\nmergeMode append\nfragments <li>\nfragments " + text + "</li>"}
}

const fetchEventSourcePage = `<script type=module>
import { fetchEventSource } from '/modules/@microsoft/fetch-event-source/lib/esm/fetch'
const show = text => list.insertAdjacentHTML('beforeend', '<li>' + text)
fetchEventSource('/events', {
	onmessage: event => { try { show(JSON.parse(event.data).text) } catch (err) { show(err) } },
	onclose: () => { throw new Error('again') }, // it does not reconnect after a clean end otherwise
})</script>`

const sseJSPage = `<script type=module>
import { SSE } from '/modules/sse.js/lib/sse'
const show = text => list.insertAdjacentHTML('beforeend', '<li>' + text)
new SSE('/events', { autoReconnect: true }).onmessage = event => {
	try { show(JSON.parse(event.data).text) } catch (err) { show(err) }
}</script>`

const turboPage = `<script type=module src=/modules/@hotwired/turbo/dist/turbo.es2017-esm.js></script>
<turbo-stream-source src=/events></turbo-stream-source>`

// Datastar does not reconnect after a clean end, only after a cut.
const datastarPage = `<script type=module src=/modules/@starfederation/datastar/dist/datastar.js></script>
<div id=source data-on-load="@get('/events')"></div>`

const htmx4Page = `<script src=/modules/htmx.org/dist/htmx.min.js></script>
<script src=/modules/htmx.org/dist/ext/hx-sse.min.js></script>
<div hx-sse:connect=/events hx-target=#list hx-swap=beforeend></div>`

// Pages' clients show each event once, and nothing else: no comment and no
// reconnection time. After a restart they reconnect, and resume. It is the same if the
// streams are compressed.
func TestPageClients(t *testing.T) {
	tests := []struct {
		name, page string
		event      func(text string) sse.Event
		again      string // what makes the page reconnect; empty if it does that by itself
		resumed    int
		expected   []string // in the console
	}{
		{"fetch-event-source", fetchEventSourcePage, message, "", 1, nil},
		{"sse.js", sseJSPage, message, "", 1, nil},
		{"Turbo", turboPage, turboItem, "", 1, nil},
		{"Datastar", datastarPage, datastarItem, "location.reload()", 0, nil},
		{"htmx 4", htmx4Page, item, "", 1, []string{"Failed to fetch"}},
	}
	for i := range 2 * len(tests) {
		test, coding := tests[i/2], []sse.Coding{{}, sse.Gzip()}[i%2]
		t.Run(test.name+"/"+coding.String(), func(t *testing.T) {
			t.Parallel()
			needChromium(t)
			needPackages(t)
			options := *strict
			options.Compress = []sse.Coding{coding}
			group := sse.Set{AcceptOptions: &options}
			site := startRestartable(t, pagesOf(test.page, &group), false)
			b := open(t, "http://"+site.addr)
			b.expect("ERR_CONNECTION_REFUSED")
			b.expect(test.expected...)
			shows := func(texts string) {
				t.Helper()
				b.await(soon, "Array.from(document.querySelectorAll('#list li'), e => e.textContent.trim()).join() === '"+texts+"'")
			}
			awaitMember(t, &group)
			group.DispatchEvent(test.event("one"))
			shows("one")
			site.shutdown()
			group.DispatchEvent(test.event("two"))
			site.start()
			before := "one,two"
			if test.again != "" {
				b.do("setTimeout(() => " + test.again + ")")
				before = ""
			}
			awaitMember(t, &group)
			group.DispatchEvent(test.event("three"))
			shows(strings.TrimPrefix(before+",three", ","))
			site.wantResumed(test.resumed)
		})
	}
}

// htmx 4 takes a reconnection time only with an event: that of the options, which comes
// with the first one, and not that of a shutdown, which is the last line of a stream.
func TestRetryOfHTMX4(t *testing.T) {
	needChromium(t)
	needPackages(t)
	group := sse.Set{AcceptOptions: strict}
	site := startRestartable(t, pagesOf(`<script>
const set = setTimeout, delays = []
setTimeout = (f, delay, ...rest) => { delays.push(delay); return set(f, delay, ...rest) }
</script>`+htmx4Page, &group), false)
	b := open(t, "http://"+site.addr)
	b.expect("ERR_CONNECTION_REFUSED", "Failed to fetch")
	awaitMember(t, &group)
	group.DispatchEvent(item("one"))
	b.await(soon, "document.querySelector('#list li') !== null")
	site.shutdown()
	site.start()
	awaitMember(t, &group)
	// It varies the time by 30 %, and limits a request to 60 s. Its default is 500 ms.
	got := eval[float64](b, "delays.find(delay => delay >= 50 && delay < 60000)")
	if got < 70 || got > 130 {
		t.Errorf("it reconnects after %v ms, want 70 to 130", got)
	}
}
