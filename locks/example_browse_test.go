package locks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"iter"
	"net/http"
	"regexp"
	"strings"

	"example.org/sse"
	"example.org/sse/ssetest"
)

var pageHTML = template.Must(template.New("page").Parse(`<!doctype html>
<script type="module" src="/page.js" data-page="{{.}}"></script>
<script type="module">
	import { connect } from "/page.js"

	const locks = connect("/locks")
</script>`))

// browse does what the browsers of two users do.
func browse(site http.Handler) {
	server := ssetest.NewMemoryServer(site)
	defer server.Close()
	ann, bob := openPage(server, "Ann"), openPage(server, "Bob")
	defer ann.stop()
	defer bob.stop()
	fmt.Println("Ann gets locks:", ann.event().Data)
	bob.event()
	fmt.Println("Ann takes card 7:", ann.post("/locks", "action=take&card=7"))
	fmt.Println("Bob takes card 7:", bob.post("/locks", "action=take&card=7"))
	fmt.Println("Bob queues for card 7:", bob.post("/locks", "action=queue&card=7"))
	ann.post("/save", "card=7&text=better")
	fmt.Println("Ann releases card 7:", ann.post("/locks", "action=release&card=7"))
	fmt.Println("Ann saves card 7:", ann.post("/save", "card=7&text=worse"))
	fmt.Println("Ann gets", ann.change(), ann.change(), ann.change())
}

// A browser has a user's page open.
type browser struct {
	server      *ssetest.Server
	user, token string
	fence       uint64
	next        func() (sse.Event, error, bool)
	stop        func()
}

func openPage(server *ssetest.Server, user string) *browser {
	b := &browser{server: server, user: user}
	_, html := b.do("GET", "/", "")
	b.token = regexp.MustCompile(`data-page="([^"]*)"`).FindStringSubmatch(html)[1]
	client := sse.Client{URL: server.URL + "/locks?page=" + b.token, HTTPClient: server.Client(), Header: http.Header{"User": {user}}}
	b.next, b.stop = iter.Pull2(client.Events(context.Background()))
	return b
}

// event returns the next event of the page's stream.
func (b *browser) event() sse.Event {
	e, _, _ := b.next()
	return e
}

// change returns the cause of the next change.
func (b *browser) change() string {
	var c struct{ Cause string }
	json.Unmarshal([]byte(b.event().Data), &c)
	return c.Cause
}

// post sends a form with the page's token, and with the newest fence. It returns what a
// page shows of the response.
func (b *browser) post(path, form string) string {
	status, body := b.do("POST", path, fmt.Sprint(form, "&fence=", b.fence))
	var a answer
	if json.Unmarshal([]byte(body), &a) != nil {
		return fmt.Sprint(status)
	}
	if a.Holder.User == b.user {
		b.fence = a.Fence
	}
	return strings.TrimSpace(fmt.Sprint(status, " ", a.Error)) + ", held by " + a.Holder.User
}

func (b *browser) do(method, path, form string) (status int, body string) {
	r, _ := http.NewRequest(method, b.server.URL+path+"?page="+b.token, strings.NewReader(form))
	r.Header.Set("User", b.user)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := b.server.Client().Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}
